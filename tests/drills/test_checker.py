"""The one judge of all drills knows each fault from what only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills.checker import FAULTS, judge
from tests.drills.history import (
    ACCEPTED,
    ASKED,
    FINISHED,
    KILLED,
    LEFT,
    RAISED,
    STARTED,
    WIPED,
    Entry,
    History,
    jobs_that,
)

APP, WORKER, OTHER = 1, 2, 3  # processes


def asked(policy: str = "raise") -> Entry:
    return Entry(ASKED, "j", by=APP, more={"policy": policy})


def accepted(state: str = "started") -> Entry:
    return Entry(ACCEPTED, "j", "bullmq", APP, more={"state": state})


def raised(*, doubt: bool) -> Entry:
    return Entry(RAISED, "j", by=APP, more={"doubt": doubt})


def started(engine: str = "bullmq", by: int = WORKER) -> Entry:
    return Entry(STARTED, "j", engine, by)


def finished(engine: str = "bullmq", by: int = WORKER) -> Entry:
    return Entry(FINISHED, "j", engine, by)


def killed(victim: int) -> Entry:
    return Entry(KILLED, by=APP, more={"victim": victim})


WIPE = Entry(WIPED)
RUN = [started(), finished()]
AGAIN = [started(by=OTHER), finished(by=OTHER)]
ELSEWHERE = [started("inngest"), finished("inngest")]

CASES: dict[str, tuple[list[Entry], set[str]]] = {
    "a job that runs once": ([asked(), *RUN, accepted()], set()),
    "one that falls back": ([asked(), accepted("sent"), *ELSEWHERE], set()),
    "one that never began": ([asked(), accepted()], {"lost"}),
    "one that never ended": ([asked(), accepted(), started()], {"lost"}),
    "one that was dropped, and told": ([asked("drop"), accepted("dropped")], set()),
    "one on both engines": ([asked(), *RUN, accepted(), *ELSEWHERE], {"both"}),
    "one begun on both": ([asked(), *RUN, accepted(), started("inngest")], {"both"}),
    "one that ran twice": ([asked(), *RUN, *AGAIN, accepted()], {"twice"}),
    "one whose worker was killed": (
        [asked(), started(), accepted(), killed(WORKER), *AGAIN],
        set(),
    ),
    "one whose worker was killed later": (
        [asked(), *RUN, accepted(), killed(WORKER), *AGAIN],
        {"twice"},
    ),
    "one, and another worker was killed": (
        [asked(), started(), accepted(), killed(9), *AGAIN],
        {"twice"},
    ),
    "one that went elsewhere after its worker was killed": (
        [asked(), started(), killed(WORKER), *ELSEWHERE, accepted()],
        set(),
    ),
    "one of which nothing was told": ([asked(), *RUN], {"silent"}),
    "one whose dispatcher was killed": ([asked(), *RUN, killed(APP)], set()),
    "one that the next process asked for again": (
        [asked(), killed(APP), Entry(ASKED, "j", by=OTHER), *RUN],
        {"silent"},
    ),
    "one in doubt that ran": ([asked(), raised(doubt=True), *RUN], set()),
    "one in doubt that did not": ([asked(), raised(doubt=True)], set()),
    "one in doubt on both": ([asked(), raised(doubt=True), *RUN, *ELSEWHERE], {"both"}),
    "one that was refused": ([asked(), raised(doubt=False)], set()),
    "one that was refused and ran": ([asked(), raised(doubt=False), *RUN], {"denied"}),
    "one that was refused, and taken later": (
        [asked(), raised(doubt=False), asked(), accepted(), *RUN],
        set(),
    ),
    "one that runs again after a loss": (
        [asked("rerun"), started(), WIPE, *ELSEWHERE, accepted()],
        set(),
    ),
    "one that runs again though it should not": (
        [asked("raise"), started(), WIPE, *ELSEWHERE, accepted()],
        {"both"},
    ),
    "one that runs again with no loss since": (
        [WIPE, asked("rerun"), *RUN, *ELSEWHERE, accepted()],
        {"both"},
    ),
    "one that runs again too often": (
        [asked("rerun"), WIPE, *RUN, *AGAIN, *ELSEWHERE, accepted()],
        {"both", "twice"},
    ),
    "one that nobody asked for": (RUN, {"phantom"}),
    "one that is on record yet": (
        [asked(), raised(doubt=True), Entry(LEFT, "j", more={"where": "wait"})],
        {"stranded"},
    ),
    "one that ran, and is on record yet": ([asked(), *RUN, accepted(), Entry(LEFT, "j")], set()),
}


@pytest.mark.parametrize("name", CASES)
def test_a_history_is_judged(name: str) -> None:
    entries, faults = CASES[name]
    verdict = judge(entries)
    assert set(verdict.faults) == faults
    assert all(jobs == ["j"] for jobs in verdict.faults.values())


def test_every_fault_has_a_case_that_shows_it() -> None:
    assert {fault for _, faults in CASES.values() for fault in faults} == set(FAULTS)


def test_a_verdict_says_what_was_wrong_and_how_much_there_was() -> None:
    assert str(judge([asked(), *RUN, accepted()])) == (
        "no fault (1 accepted, 1 asked, 1 finished, 1 on bullmq, 1 started)"
    )
    assert str(judge(RUN)).startswith("phantom: 1 ['j'] (")


def test_processes_write_one_history(tmp_path: Path) -> None:
    one, other = (History(tmp_path / "history.jsonl") for _ in range(2))
    one.note(ASKED, "a", policy="raise")
    other.note(STARTED, "a", "inngest")
    one.note(STARTED, "b", "bullmq")
    entries = one.entries()
    assert [(entry.what, entry.job) for entry in entries] == [
        (ASKED, "a"),
        (STARTED, "a"),
        (STARTED, "b"),
    ]
    assert entries == other.entries()
    assert jobs_that(entries, STARTED) == {"a", "b"}
    assert jobs_that(entries, STARTED, engine="inngest") == {"a"}
    assert jobs_that(entries, ASKED, policy="drop") == set()
    one.close()
    other.close()

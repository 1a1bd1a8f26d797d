"""`make demo` ends as it promises."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bullq.protocol.record import JobRecord
from bullq.protocol.states import JobState
from bullq.queues.inspect import JobDetail
from examples.shop.demo.plan import Expected, Outcome
from examples.shop.demo.verdict import compare, judge_others, most_within, percentile

ROOT = Path(__file__).parents[3]
DEMO = [sys.executable, "-m", "examples.shop.demo"]
DEADLINE = 90.0
"""Seconds for a demo on a busy machine; it takes five on an idle one."""


@pytest.mark.slow
def test_the_demo_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = os.environ | {
        "TMPDIR": str(tmp_path),
        "COLUMNS": "80",
        # What the user has set is neither used nor touched.
        "REDIS_URL": "redis://127.0.0.1:1",
        "BULLQ_APP": "no.such.module",
        "SHOP_DATA": str(tmp_path / "mine"),
    }
    done = subprocess.run(
        DEMO,
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for queue in ("default", "data-sync", "scheduled"):
        row = re.search(
            rf"^  {queue} +(\d+) +\d+ +\d+ +\d+ ms +\d+ ms +\d+ *$", done.stdout, re.MULTILINE
        )
        assert row, done.stdout
        assert int(row[1]) >= 10
    assert re.search(r"^All \d{3} jobs ended as they should, in ", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_demo_that_is_stopped_takes_its_workers_along(tmp_path: Path) -> None:
    process = subprocess.Popen(
        DEMO,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any(line.startswith("Dispatching") for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == [], "the server's folder is removed after its end"


def detail(state: JobState, **fields: str) -> JobDetail:
    record = JobRecord("7", {"name": "charge-card", "atm": "1", "opts": "{}", **fields})
    return JobDetail(record, state, [])


RETRIED = Outcome(JobState.FAILED, attempts=3, reason="busy")


def test_a_job_that_ended_as_planned_is_no_problem() -> None:
    ended = detail(JobState.FAILED, atm="3", failedReason="gateway busy")
    assert compare(Expected("retried", "default", "7", RETRIED), ended) == []


@pytest.mark.parametrize(
    ("ended", "problem"),
    [
        (None, "no such job"),
        (detail(JobState.COMPLETED, atm="3", failedReason="busy"), "is completed, not failed"),
        (detail(JobState.FAILED, atm="2", failedReason="busy"), "took 2 attempts, not 3"),
        (detail(JobState.FAILED, atm="3", failedReason="out"), "says 'out', not 'busy'"),
        (detail(JobState.FAILED, atm="3", failedReason="busy", stc="1"), "stalled 1 times"),
    ],
)
def test_a_job_that_ended_otherwise_is_one(ended: JobDetail | None, problem: str) -> None:
    [said] = compare(Expected("retried", "default", "7", RETRIED), ended)
    assert problem in said


def test_a_recurring_job_s_next_run_is_planned_and_a_stranger_is_not() -> None:
    run, following = JobRecord("repeat:x:1", {}), JobRecord("repeat:x:2", {})
    details = [
        JobDetail(run, JobState.COMPLETED, []),
        JobDetail(following, JobState.DELAYED, []),
    ]
    assert judge_others(details) == (1, [])
    assert judge_others([JobDetail(run, JobState.FAILED, [])])[1]
    assert judge_others([detail(JobState.COMPLETED)])[1]


@pytest.mark.parametrize(
    ("values", "percent", "value"),
    [
        ([], 50, 0),
        ([4], 99, 4),
        ([1, 2, 3, 4], 50, 2),
        ([1, 2, 3], 50, 2),
        (list(range(100)), 99, 98),
    ],
)
def test_percentiles_are_values_that_occurred(values: list[int], percent: int, value: int) -> None:
    assert percentile(values, percent) == value


@pytest.mark.parametrize(
    ("times", "most"), [([], 0), ([5], 1), ([0, 999], 2), ([0, 1000], 1), ([0, 10, 1005, 1009], 3)]
)
def test_the_busiest_second_is_a_window_that_slides(times: list[int], most: int) -> None:
    assert most_within(times, 1000) == most

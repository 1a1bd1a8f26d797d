from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bullq.dispatch.outbox import Kept, LeaseLost, Outbox, check_outbox, now_ms
from bullq.errors import SettingsError


def a_job(number: int, queue: str = "default") -> Kept:
    return Kept(
        queue=queue,
        id=f"job-{number}",
        name="greet",
        data='{"a":1}',
        options='{"attempts":3}',
        made_ms=1,
        due_ms=2,
        kept_ms=now_ms() - 5_000,
        dispatcher="d",
        epoch="e",
        pickup="alive",
        on_data_loss="raise",
        timeout_ms=1_000,
        may_leave=True,
        maybe=False,
        known=False,
        sent=False,
    )


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


async def test_what_is_kept_is_there_for_the_next_process_in_order(outbox: Outbox) -> None:
    await asyncio.gather(*(outbox.keep(a_job(number)) for number in range(5)))
    await outbox.aclose()
    again = Outbox(outbox.path)
    [first] = await again.jobs(limit=1)
    assert first == replace(a_job(0), kept_ms=first.kept_ms)
    assert [job.id for job in await again.jobs("default")] == [f"job-{n}" for n in range(5)]
    count, age = await again.depth()
    assert count == 5
    assert age >= 5_000
    await again.aclose()


async def test_a_job_is_kept_once_and_what_is_known_of_it_adds_up(outbox: Outbox) -> None:
    await outbox.keep(a_job(1))
    await outbox.keep(replace(a_job(1), maybe=True))
    await outbox.keep(replace(a_job(1), sent=True))
    [job] = await outbox.jobs()
    assert (job.maybe, job.sent) == (True, True)
    await outbox.clear_maybe([job], "somebody")
    assert (await outbox.jobs())[0].maybe
    assert await outbox.take_lease("somebody", 60)
    await outbox.clear_maybe([job], "somebody")
    assert not (await outbox.jobs())[0].maybe
    await outbox.begin([job], "somebody", maybe=True, sent=False)
    assert (await outbox.jobs())[0].maybe
    with pytest.raises(LeaseLost):
        await outbox.begin([job], "another", maybe=True, sent=False)
    await outbox.aclose()


async def test_a_job_with_a_problem_holds_nobody_up(outbox: Outbox) -> None:
    await outbox.keep(a_job(1))
    await outbox.keep(a_job(2))
    await outbox.keep(a_job(3, "data-sync"))
    await outbox.hold_back(a_job(1), "refused")
    assert [job.id for job in await outbox.deliverable("default", limit=9)] == ["job-2"]
    assert await outbox.queues() == ["default", "data-sync"]
    assert await outbox.remove([("default", "job-1"), ("default", "job-9")]) == 1
    assert await outbox.depth() != (0, 0)
    await outbox.aclose()


async def test_a_job_with_a_problem_holds_up_those_of_its_order_key(outbox: Outbox) -> None:
    for number, key in ((1, "a"), (2, "a"), (3, "b"), (4, "")):
        await outbox.keep(replace(a_job(number), order_key=key))
    await outbox.keep(replace(a_job(5, "data-sync"), order_key="a"))
    await outbox.hold_back(a_job(1), "lost")
    assert [job.id for job in await outbox.deliverable("default", limit=9)] == ["job-3", "job-4"]
    assert await outbox.queues() == ["default", "data-sync"]
    assert await outbox.keeps("default", "a")
    assert not await outbox.keeps("default", "c")
    await outbox.remove([("default", "job-1")])
    assert [job.id for job in await outbox.deliverable("default", limit=1)] == ["job-2"]
    await outbox.aclose()


async def test_a_file_from_before_there_were_order_keys_is_read(outbox: Outbox) -> None:
    await outbox.keep(a_job(1))
    await outbox.aclose()
    with sqlite3.connect(outbox.path) as db:
        db.execute("ALTER TABLE jobs DROP COLUMN order_key")
    db.close()
    await outbox.keep(replace(a_job(2), order_key="a"))
    assert [job.order_key for job in await outbox.jobs()] == ["", "a"]
    await outbox.aclose()


async def test_one_of_all_delivers(outbox: Outbox) -> None:
    other = Outbox(outbox.path)
    assert await outbox.take_lease("one", 60)
    assert await outbox.take_lease("one", 60)
    assert not await other.take_lease("two", 60)
    await outbox.leave_lease("two")
    assert not await other.take_lease("two", 60)
    await outbox.leave_lease("one")
    assert await other.take_lease("two", -1)
    assert await outbox.take_lease("one", 60)
    await outbox.aclose()
    await other.aclose()


async def test_every_commit_is_synced(outbox: Outbox) -> None:
    await outbox.keep(a_job(1))
    pragmas = outbox._connection
    assert pragmas is not None
    assert pragmas.execute("PRAGMA synchronous").fetchone() == (2,)
    assert pragmas.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await outbox.aclose()


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="BULLQ_OUTBOX="):
        check_outbox(tmp_path / "file" / "outbox.db")


async def test_no_cursor_leaves_its_thread(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    transact = outbox._transact

    def watched(work: Callable[[sqlite3.Connection], object]) -> object:
        given.append(transact(work))
        return given[-1]

    monkeypatch.setattr(outbox, "_transact", watched)
    await outbox.keep(a_job(1))
    await outbox.take_lease("one", 60)
    await outbox.begin([a_job(1)], "one", maybe=True, sent=True)
    await outbox.clear_maybe([a_job(1)], "one")
    await outbox.hold_back(a_job(1), "problem")
    await outbox.leave_lease("one")
    await outbox.remove([("default", "job-1")])
    assert len(given) == 7
    assert not any(isinstance(one, sqlite3.Cursor) for one in given)
    await outbox.aclose()


async def test_a_child_that_was_forked_opens_the_file_anew(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outbox.keep(a_job(1))
    parents = outbox._connection
    assert parents is not None
    monkeypatch.setattr("bullq.dispatch.outbox.os.getpid", lambda: 0)
    await outbox.keep(a_job(2))
    await outbox.aclose()
    monkeypatch.undo()
    assert parents.execute("SELECT count(*) FROM jobs").fetchone() == (2,)  # not closed
    parents.close()

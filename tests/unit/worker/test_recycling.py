from __future__ import annotations

from typing import Any

import pytest

from bullq.telemetry.hooks import JobEvent
from bullq.worker import recycling
from bullq.worker.recycling import Recycling, memory_used

EVENT = JobEvent(queue="default", name="mail", id="order-7", attempt=1, attempts=3, waited_ms=5)


def recycled_after(**bounds: Any) -> int:
    """Give the number of attempts after which a process has done its share; 0: never in 10."""
    due: list[int] = []
    share = Recycling(lambda: due.append(1), **{"max_jobs": None, "max_memory": None, **bounds})
    for number in range(1, 11):
        share.job_completed(EVENT)
        if share.is_due:
            share.job_failed(EVENT, "reason")
            assert due == [1], "it is told once"
            return number
    return 0


def test_every_attempt_counts() -> None:
    due: list[int] = []
    share = Recycling(lambda: due.append(1), max_jobs=3, max_memory=None)
    share.job_completed(EVENT)
    share.job_failed(EVENT, "reason")
    assert not share.is_due
    share.job_retried(EVENT, "reason", 5)
    assert share.is_due


def test_the_bounds() -> None:
    assert recycled_after(max_jobs=4) == 4
    assert recycled_after(max_memory=1) == 1
    assert recycled_after(max_memory=2**60) == 0
    assert recycled_after() == 0


def test_the_memory_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(recycling, "memory_used", lambda: looks.append(1) or 0)
    assert recycled_after(max_memory=1) == 0
    assert len(looks) == 1


def test_memory_is_told_in_bytes() -> None:
    block = bytearray(64 * 1024 * 1024)
    block[::4096] = b"x" * len(block[::4096])
    with_block = memory_used()
    del block
    assert 64 * 1024 * 1024 < with_block < 2**40

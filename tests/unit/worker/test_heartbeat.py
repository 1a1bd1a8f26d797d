from __future__ import annotations

from pathlib import Path

import pytest

from bullq.worker import heartbeat
from bullq.worker.heartbeat import Heartbeat


class Clock:
    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(heartbeat, "time", clock := Clock())
    return clock


def test_the_file_is_as_old_as_the_worker_that_waits_longest(clock: Clock, tmp_path: Path) -> None:
    beat = Heartbeat(tmp_path / "beat")
    beat.join("deaf")
    beat.join("busy")
    for clock.now in (1010.0, 1020.0, 1030.0):
        beat.beat("busy")
    assert (tmp_path / "beat").stat().st_mtime == 1000
    clock.now = 1040.0
    beat.beat("deaf")
    assert (tmp_path / "beat").stat().st_mtime == 1030


def test_a_worker_that_has_ended_keeps_nobody_back(clock: Clock, tmp_path: Path) -> None:
    beat = Heartbeat(tmp_path / "beat")
    beat.join("burst")
    beat.join("other")
    beat.leave("burst")
    clock.now = 1010.0
    beat.beat("other")
    assert (tmp_path / "beat").stat().st_mtime == 1010


def test_the_file_is_touched_once_a_second_and_after_the_clock_was_set_back(
    clock: Clock, tmp_path: Path
) -> None:
    beat = Heartbeat(tmp_path / "beat")
    seen = []
    for clock.now in (1000.0, 1000.4, 1001.1, 900.0):
        beat.beat("one")
        seen.append((tmp_path / "beat").stat().st_mtime)
    assert seen == [1000, 1000, 1001.1, 900]


def test_a_folder_that_is_not_there_ends_no_worker(tmp_path: Path) -> None:
    Heartbeat(tmp_path / "nowhere" / "beat").beat("one")

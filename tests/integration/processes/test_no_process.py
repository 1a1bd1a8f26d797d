from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bullq.worker.child import Child
from bullq.worker.supervisor import Supervisor, Terms
from tests.support.deadline import DEADLINE
from tests.support.workers import Recorder

TERMS = Terms(processes=1, burst=True, stop_deadline=60, max_outage=60, no_redis=3)


async def test_a_system_without_a_process_to_spare_is_told_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bullq.worker.supervisor._NO_PROCESS_PAUSE", 0.01)
    commands = [["/nowhere/python"], [sys.executable, "-c", ""]]

    def command(number: int, token_prefix: str, beat: Path) -> list[str]:
        return commands.pop(0)

    recorder = Recorder()
    async with asyncio.timeout(DEADLINE):
        assert await Supervisor(command, [], recorder, TERMS).run() == 0
    assert recorder.all("trouble")[0].arguments[1] == "worker process 1 cannot be started"
    assert recorder.counts["process_started"] == recorder.counts["process_ended"] == 1


async def test_a_child_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, sys, time; signal.signal(15, signal.SIG_IGN)\n"
    deaf += "open(sys.argv[1], 'w').close(); time.sleep(600)"
    terms = Terms(processes=1, stop_deadline=0.2, max_outage=300, no_redis=3)
    beats: list[Path] = []

    def command(number: int, token_prefix: str, beat: Path) -> list[str]:
        beats.append(beat)
        return [sys.executable, "-c", deaf, str(beat)]

    recorder = Recorder()
    supervisor = Supervisor(command, [], recorder, terms)
    running = asyncio.create_task(supervisor.run())
    await recorder.wait_for("process_started")
    child: Child = supervisor._children[1]
    async with asyncio.timeout(DEADLINE):
        while child.beat_at is None:  # noqa: ASYNC110 - it is another process' file
            await asyncio.sleep(0.01)
        supervisor.stop()
        assert await running == 128 + 9
    assert recorder.all("process_died")[0].arguments[2].startswith("was killed by signal 9")
    assert len(beats) == 1

"""Ten idle workers, each with a job for tomorrow, begin a new job at once after any accident.

`make test` is short of time: BULLQ_TEST_IDLE=90 BULLQ_TEST_SILENCE=8 has them idle for 90 seconds,
and the server stopped for 8, which is longer than every deadline of a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Bullq, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.pace import soonest
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker

WORKERS = 10
IDLE = float(os.environ.get("BULLQ_TEST_IDLE", "0.2"))
SILENCE = float(os.environ.get("BULLQ_TEST_SILENCE", "0.3"))
LATE = 0.1  # seconds, where nothing else is to do
BACK = 5.0  # seconds from the server's answer to the worker's, who tries twice a second at least
FOR_EVER = 3_600.0  # seconds for which a worker waits: it is woken, or it is deaf


class Sent(BaseModel):
    at: float = 0.0


class Pickups:
    """The jobs of ten queues, and how long after its dispatch each began."""

    def __init__(self) -> None:
        self.took: asyncio.Queue[float] = asyncio.Queue()
        self.jobs = [self._job(f"idle-{number}") for number in range(WORKERS)]

    def _job(self, queue: str) -> Any:
        @job(queue=queue, name="noted")
        async def noted(data: Sent) -> None:
            self.took.put_nowait(time.monotonic() - data.at)

        return noted

    async def slowest(self) -> float:
        """Send each worker a job, one after the other, and give the longest wait in seconds."""
        took = []
        for one in self.jobs:
            await one.dispatch(Sent(at=time.monotonic()))
            took.append(await asyncio.wait_for(self.took.get(), DEADLINE))
        return max(took)

    async def begin_at_once(self) -> float:
        """See that no worker is deaf, and none late; give the longest wait in seconds."""
        slowest = await soonest(self.slowest, LATE)
        assert slowest < LATE
        return slowest


@contextlib.asynccontextmanager
async def idle_workers(app: Bullq, pickups: Pickups) -> AsyncIterator[list[Recorder]]:
    async with contextlib.AsyncExitStack() as stack:
        recorders = []
        for one in pickups.jobs:
            await one.dispatch(Sent(), delay=timedelta(days=1))
            running = running_worker(app, one.queue, longest_block=FOR_EVER)
            _, recorder = await stack.enter_async_context(running)
            recorders.append(recorder)
        await pickups.slowest()  # each has listened once
        yield recorders


async def all_back(recorders: list[Recorder], since: float) -> float:
    """Wait until all workers have told that Redis is back; give the longest time since then."""
    for recorder in recorders:
        await recorder.wait_for("redis_back", recorder.counts["redis_lost"])
    return time.monotonic() - since


def say(what: str, seconds: float) -> None:
    """Write what pytest shows with -s, or of a test that fails."""
    sys.stdout.write(f"{what}: {seconds * 1000:.0f} ms at most, of {WORKERS}\n")


@pytest.fixture
async def pickups(own_server: RedisServer, make_app: AppFactory) -> AsyncIterator[Any]:
    pickups = Pickups()
    app = make_app(*pickups.jobs, url=own_server.url)
    async with idle_workers(app, pickups) as recorders:
        yield pickups, recorders, app.store.client()
    await app.aclose()


async def test_idle_workers_begin_a_job_at_once(pickups: Any) -> None:
    jobs, _, _ = pickups
    await asyncio.sleep(IDLE)
    say(f"idle for {IDLE:g} s, then a job begins", await jobs.begin_at_once())


async def test_idle_workers_begin_a_job_at_once_after_their_connections_were_killed(
    pickups: Any,
) -> None:
    jobs, recorders, client = pickups
    await asyncio.sleep(IDLE)
    # A machine that stands still for a while makes workers lose Redis before, and find it again.
    losses = [recorder.counts["redis_lost"] + 1 for recorder in recorders]
    began = time.monotonic()
    await client.client_kill_filter(_type="normal", skipme=True)
    for recorder, number in zip(recorders, losses, strict=True):
        await recorder.wait_for("redis_lost", number)
    back = await all_back(recorders, began)
    say("all connections killed, redis back", back)
    say("then a job begins", await jobs.begin_at_once())
    assert back < BACK


async def test_idle_workers_begin_a_job_at_once_after_the_server_stood_still(
    pickups: Any, own_server: RedisServer
) -> None:
    jobs, recorders, _ = pickups
    await asyncio.sleep(IDLE)
    own_server.signal(signal.SIGSTOP)
    await asyncio.sleep(SILENCE)
    own_server.signal(signal.SIGCONT)
    answers = time.monotonic()
    back = await all_back(recorders, answers)
    say(f"server silent for {SILENCE:g} s, redis back", back)
    say("then a job begins", await jobs.begin_at_once())
    assert back < BACK


async def test_idle_workers_begin_a_job_at_once_after_the_server_was_restarted(
    pickups: Any, own_server: RedisServer
) -> None:
    jobs, recorders, _ = pickups
    await asyncio.sleep(IDLE)
    losses = [recorder.counts["redis_lost"] + 1 for recorder in recorders]
    own_server.kill()
    for recorder, number in zip(recorders, losses, strict=True):
        await recorder.wait_for("redis_lost", number)
    await asyncio.to_thread(own_server.start)
    back = await all_back(recorders, time.monotonic())
    say("server restarted, redis back", back)
    say("then a job begins", await jobs.begin_at_once())
    assert back < BACK

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from pydantic import BaseModel

from bullq import QueueSpec, StoreUnavailable, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker

SHORT = QueueSpec(name="short", lock_duration=1.5, stalled_interval=1)
runs: Counter[str] = Counter()


class Block(BaseModel):
    seconds: float = 0.0


@job(queue="short", name="sync", attempts=1)
def block_a_thread(data: Block) -> str:
    runs["sync"] += 1
    time.sleep(data.seconds)
    return "done"


@job(queue="short", name="beside", attempts=1)
async def beside(data: Block) -> str:
    await asyncio.sleep(data.seconds)
    return "done"


async def test_a_sync_job_beyond_its_lock_runs_once_beside_two_workers(
    make_app: AppFactory,
) -> None:
    runs.clear()
    app = make_app(block_a_thread, queues=[SHORT])
    async with (
        running_worker(app, "short") as (_, one),
        running_worker(app, "short") as (_, other),
    ):
        receipt = await block_a_thread.dispatch(Block(seconds=4))
        assert await receipt.result(timeout=DEADLINE) == "done"
    assert runs["sync"] == 1
    for recorder in (one, other):
        assert recorder.counts["jobs_stalled"] == recorder.counts["job_lost"] == 0
        assert recorder.counts["loop_blocked"] == 0


async def test_the_job_that_blocks_the_loop_is_told_once_and_while_it_does(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.worker.loopwatch.THRESHOLD", 1.0)
    runs = 0

    @job(queue="default", name="loop", attempts=1)
    async def block_the_loop(data: Block) -> str:
        nonlocal runs
        runs += 1
        end = time.monotonic() + DEADLINE
        while not recorder.all("loop_blocked") and time.monotonic() < end:
            time.sleep(0.05)  # noqa: ASYNC251 - the defect that is put up with
        return "done"

    app = make_app(block_the_loop, beside, queues=[SHORT])
    async with running_worker(app, "short"), running_worker(app, "default") as (_, recorder):
        # A job that waits blocks nothing.
        calm = await beside.dispatch(Block(seconds=1.7))
        assert await calm.result(timeout=DEADLINE) == "done"
        assert not recorder.all("loop_blocked")
        receipt = await block_the_loop.dispatch(Block())
        assert await receipt.result(timeout=DEADLINE) == "done"
        told = recorder.all("loop_blocked")
    assert len(told) == 1
    queue, lag_ms, culprit = told[0].arguments
    assert (queue, culprit.name, culprit.id) == ("default", "loop", receipt.id)
    assert lag_ms >= 1_000
    assert runs == 1
    assert recorder.counts["job_lost"] == 0


@pytest.mark.slow
async def test_a_worker_ends_by_an_error_once_redis_has_been_silent_for_too_long(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    app = make_app(beside, queues=[SHORT], url=own_server.url)
    recorder = Recorder()
    worker = app.worker("short", recorder, max_outage=1.5)
    running = asyncio.create_task(worker.run())
    await recorder.wait_for("worker_started")
    lost_at = time.monotonic()
    own_server.kill()
    with pytest.raises(StoreUnavailable, match=r"has not answered for .* started anew"):
        await asyncio.wait_for(running, DEADLINE)
    assert time.monotonic() - lost_at > 1.0


async def test_a_worker_puts_up_with_a_shorter_outage(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    app = make_app(beside, queues=[SHORT], url=own_server.url)
    async with running_worker(app, "short", max_outage=300) as (_, recorder):
        own_server.kill()
        await recorder.wait_for("redis_lost")
        own_server.start()
        await recorder.wait_for("redis_back")
        receipt = await beside.dispatch(Block())
        assert await receipt.result(timeout=DEADLINE) == "done"

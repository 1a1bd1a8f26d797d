"""Each claim has a lock of its own, which outlives a blocked event loop and is missed when lost."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from pydantic import BaseModel

from bullq import Bullq, Context, JobFailed, QueueSpec, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker

SHORT_LOCK = QueueSpec(
    name="short-lock",
    concurrency=2,
    lock_duration=timedelta(seconds=1.5),
    stalled_interval=timedelta(seconds=1),
)
BLOCKED = SHORT_LOCK.lock_duration_ms / 1000 + 1.5
"""Seconds in which a lock that is not renewed ends, and whoever watches sees that it has."""
OFTEN = 0.2
"""Seconds from one renewal to the next, of locks that last for 30."""


class Nothing(BaseModel):
    pass


async def test_w05_each_claim_has_its_own_lock_token(make_app: AppFactory) -> None:
    running, go_on = asyncio.Semaphore(0), asyncio.Event()

    @job(queue="default", name="holds")
    async def holds(data: Nothing) -> None:
        running.release()
        await go_on.wait()

    app = make_app(holds)
    receipts = await holds.dispatch_many([Nothing()] * 6)
    async with running_worker(app, "default", concurrency=6) as (_, recorder):
        for _ in receipts:
            await asyncio.wait_for(running.acquire(), DEADLINE)
        queue = app.queue("default")
        locks = [f"{queue.keys.job(receipt.id)}:lock" for receipt in receipts]
        tokens = await queue.store.client().mget(locks)
        go_on.set()
        await recorder.wait_for("job_completed", 6)
    assert len(set(tokens)) == 6
    assert None not in tokens


async def test_w09_a_blocked_event_loop_keeps_its_locks(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    """A second worker watches, and takes whatever lost its lock; it has a loop of its own."""
    runs: list[str] = []
    blocked = threading.Event()

    @job(queue="short-lock", name="blocks")
    async def blocks(data: Nothing) -> str:
        runs.append(threading.current_thread().name)
        blocked.set()
        time.sleep(BLOCKED)  # noqa: ASYNC251 - the defect itself
        return "done"

    @job(queue="short-lock", name="waits")
    async def waits(data: Nothing) -> str:
        """A bystander, whose lock the same blocked loop holds."""
        runs.append("bystander")
        await asyncio.to_thread(blocked.wait, DEADLINE)
        return "done"

    app = make_app(blocks, waits, queues=[SHORT_LOCK])
    first = threading.Thread(target=lambda: asyncio.run(work_until_done(app, 2)), name="first")
    bystander = await waits.dispatch(Nothing())
    first.start()
    receipt = await blocks.dispatch(Nothing())
    assert await asyncio.to_thread(blocked.wait, DEADLINE)
    async with running_worker(app, "short-lock") as (_, second):
        assert await receipt.result(timeout=DEADLINE) == "done"
        assert await bystander.result(timeout=DEADLINE) == "done"
        await asyncio.to_thread(first.join, DEADLINE)
    assert sorted(runs) == ["bystander", "first"]
    assert not second.all("job_started")
    assert not second.all("jobs_stalled")


async def work_until_done(app: Bullq, jobs: int) -> None:
    async with running_worker(app, "short-lock") as (_, recorder):
        await recorder.wait_for("job_completed", jobs)
    await app.aclose()


async def test_w10_a_job_whose_lock_is_lost_is_cancelled_and_told(make_app: AppFactory) -> None:
    running, cancelled = asyncio.Event(), asyncio.Event()

    @job(queue="default", name="async")
    async def waits(data: Nothing, ctx: Context) -> None:
        ctx.log("mine")
        running.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ctx.log("no longer mine")
            ctx.progress(99)
            assert ctx.cancelled
            cancelled.set()

    app = make_app(waits)
    receipt = await waits.dispatch(Nothing())
    queue = app.queue("default")
    client = queue.store.client()
    async with running_worker(app, "default", renew_locks_every=OFTEN) as (_, recorder):
        await asyncio.wait_for(running.wait(), DEADLINE)
        await client.set(f"{queue.keys.job(receipt.id)}:lock", "another worker's")
        [told] = await recorder.wait_for("job_lost")
        assert cancelled.is_set()
        assert told.arguments[0].id == receipt.id
        # Whoever has the job now finds its record untouched.
        assert await client.lrange(queue.keys.logs(receipt.id), 0, -1) == ["mine"]
        assert not await client.hexists(queue.keys.job(receipt.id), "progress")
        assert not recorder.all("job_failed") + recorder.all("job_completed")
        assert await receipt.status() == "active"
        await client.delete(f"{queue.keys.job(receipt.id)}:lock")


async def test_w10_a_sync_job_sees_that_its_lock_is_lost_and_its_slot_is_free(
    make_app: AppFactory,
) -> None:
    running, ended = threading.Event(), threading.Event()

    @job(queue="default", name="sync")
    def waits(data: Nothing, ctx: Context) -> None:
        running.set()
        end = time.monotonic() + DEADLINE
        while not ctx.cancelled and time.monotonic() < end:
            time.sleep(0.01)  # what a sync job does between its looks
        ctx.log("no longer mine")
        ended.set()

    app = make_app(waits)
    receipt = await waits.dispatch(Nothing())
    queue = app.queue("default")
    client = queue.store.client()
    async with running_worker(app, "default", renew_locks_every=OFTEN) as (_, recorder):
        assert await asyncio.to_thread(running.wait, DEADLINE)
        await client.set(f"{queue.keys.job(receipt.id)}:lock", "another worker's")
        await recorder.wait_for("job_lost")
        assert await asyncio.to_thread(ended.wait, DEADLINE)
        assert not await client.exists(queue.keys.logs(receipt.id))
        await client.delete(f"{queue.keys.job(receipt.id)}:lock")


async def test_w10_a_result_written_after_the_lock_was_lost_is_refused(
    make_app: AppFactory,
) -> None:
    """The lock is lost too late for the renewal to notice: the script's own check has the word."""
    running, go_on = asyncio.Event(), asyncio.Event()

    @job(queue="default", name="late")
    async def late(data: Nothing) -> str:
        running.set()
        await go_on.wait()
        return "too late"

    app = make_app(late)
    receipt = await late.dispatch(Nothing())
    queue = app.queue("default")
    async with running_worker(app, "default") as (_, recorder):
        await asyncio.wait_for(running.wait(), DEADLINE)
        await queue.store.client().set(f"{queue.keys.job(receipt.id)}:lock", "another worker's")
        go_on.set()
        [told] = await recorder.wait_for("job_lost")
        assert "another worker" in told.arguments[1]
    assert not recorder.all("job_completed")
    assert await receipt.status() == "active"


async def test_w21_a_worker_takes_a_dead_ones_jobs_back_as_soon_as_it_starts(
    make_app: AppFactory,
) -> None:
    """Not only after one interval, which is an hour here."""

    @job(queue="default", name="again")
    async def again(data: Nothing, ctx: Context) -> int:
        return ctx.job_attempt

    app = make_app(again, queues=[QueueSpec(name="default", stalled_interval=3600)])
    receipt = await again.dispatch(Nothing())
    queue = app.queue("default")
    client = queue.store.client()
    # What a dead worker leaves, once its lock has expired: an active job that was marked before.
    await client.lmove(queue.keys.key("wait"), queue.keys.key("active"), "RIGHT", "LEFT")
    await client.sadd(queue.keys.key("stalled"), receipt.id)
    async with running_worker(app, "default") as (_, recorder):
        assert await receipt.result(timeout=DEADLINE) == 1
    assert [told.arguments[1] for told in recorder.all("jobs_stalled")] == [[receipt.id]]
    assert await client.hget(queue.keys.job(receipt.id), "stc") == "1"


async def test_a_job_that_stalled_too_often_fails_and_is_not_run_again(
    make_app: AppFactory,
) -> None:
    runs: list[int] = []

    @job(queue="default", name="crashes-workers", attempts=5)
    async def crashes_workers(data: Nothing) -> None:
        runs.append(1)

    app = make_app(crashes_workers)
    receipt = await crashes_workers.dispatch(Nothing())
    queue = app.queue("default")
    client = queue.store.client()
    await client.lmove(queue.keys.key("wait"), queue.keys.key("active"), "RIGHT", "LEFT")
    await client.sadd(queue.keys.key("stalled"), receipt.id)
    await client.hset(queue.keys.job(receipt.id), "stc", queue.spec.max_stalled_count)
    async with running_worker(app, "default"):
        with pytest.raises(JobFailed) as failed:
            await receipt.result(timeout=DEADLINE)
    assert failed.value.reason == "job stalled more than allowable limit"
    assert not runs


async def test_the_renewal_survives_errors_that_it_does_not_know(make_app: AppFactory) -> None:
    """It is the only thing that keeps the locks: it tells of the trouble and goes on."""
    running, go_on = asyncio.Event(), asyncio.Event()

    @job(queue="default", name="long")
    async def long(data: Nothing) -> str:
        running.set()
        await go_on.wait()
        return "done"

    app = make_app(long)
    receipt = await long.dispatch(Nothing())
    queue = app.queue("default")
    client = queue.store.client()
    lock = f"{queue.keys.job(receipt.id)}:lock"
    recorder: Recorder
    async with running_worker(app, "default", renew_locks_every=OFTEN) as (_, recorder):
        await asyncio.wait_for(running.wait(), DEADLINE)
        await client.set(f"{queue.keys.key('stalled-check')}", "0", px=60_000)  # no check for now
        await client.delete(queue.keys.key("stalled"))
        await client.set(queue.keys.key("stalled"), "not a set")
        await recorder.wait_for("trouble")
        await client.delete(queue.keys.key("stalled"))
        async with asyncio.timeout(DEADLINE):
            token = await client.get(lock)
            await client.expire(lock, 20)
            while await client.ttl(lock) < 25:  # noqa: ASYNC110 - nobody tells of a renewal
                await asyncio.sleep(0.01)
        assert await client.get(lock) == token
        go_on.set()
        assert await receipt.result(timeout=DEADLINE) == "done"
    assert len(recorder.all("trouble")) == 1

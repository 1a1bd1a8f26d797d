"""A worker that is told to stop ends by a deadline, and what it cannot finish is next again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading

import pytest
from pydantic import BaseModel

from bullq import Bullq, Context, QueueSpec, job
from bullq.protocol.record import JobRecord
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.proxy import running_proxy
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker


class Number(BaseModel):
    n: int = 0


async def waiting(app: Bullq, queue: str) -> list[str]:
    """List the jobs that wait, the next one first."""
    live = app.queue(queue)
    ids: list[str] = await live.store.client().lrange(live.keys.key("wait"), 0, -1)
    return ids[::-1]


async def record(app: Bullq, queue: str, job_id: str) -> JobRecord:
    live = app.queue(queue)
    return JobRecord(job_id, await live.store.client().hgetall(live.keys.job(job_id)))


async def test_w13_a_stop_during_a_claim_leaves_no_job_active(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    """The claim is executed, and its reply comes after the stop."""

    @job(queue="default", name="claimed")
    async def claimed(data: Number) -> None:
        pass

    async with running_proxy(valkey.port) as proxy:
        app, direct = make_app(claimed, url=proxy.url), make_app(claimed)
        worker = app.worker("default", recorder := Recorder())
        task = asyncio.create_task(worker.run())
        await recorder.wait_for("worker_started")
        queue = direct.queue("default")
        client = queue.store.client()
        held = proxy.catch_reply(b'"n":77')
        receipt = await claimed.dispatch(Number(n=77))
        await asyncio.wait_for(held.answered.wait(), DEADLINE)
        worker.stop()
        await recorder.wait_for("worker_stopping")
        ended, _ = await asyncio.wait([task], timeout=0.3)
        assert not ended  # it knows that a claim is under way
        held.let_go()
        await asyncio.wait_for(task, DEADLINE)
        assert await waiting(direct, "default") == [receipt.id]
        assert not await client.llen(queue.keys.key("active"))
        assert not await client.exists(f"{queue.keys.job(receipt.id)}:lock")
        assert not recorder.all("job_started")


async def test_w13_running_jobs_end_before_the_deadline_and_no_new_one_begins(
    make_app: AppFactory,
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @job(queue="one", name="ends")
    async def ends(data: Number) -> int:
        began.set()
        await go_on.wait()
        return data.n

    app = make_app(ends, queues=[QueueSpec(name="one", concurrency=1)])
    receipts = await ends.dispatch_many([Number(n=n) for n in range(3)])
    async with running_worker(app, "one", drain_timeout=60) as (worker, recorder):
        await asyncio.wait_for(began.wait(), DEADLINE)
        worker.stop()
        await recorder.wait_for("worker_stopping")
        go_on.set()
        await recorder.wait_for("worker_stopped")
    assert await receipts[0].status() == "completed"
    assert await waiting(app, "one") == [receipt.id for receipt in receipts[1:]]
    assert len(recorder.all("job_started")) == 1


async def test_w13_what_outlives_the_deadline_goes_back_in_order_and_spends_no_attempt(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is any time given to jobs that have cleaned up after themselves."""
    monkeypatch.setattr("bullq.worker.worker._CANCEL_GRACE", 3600)
    cleaned: list[int] = []
    running = asyncio.Semaphore(0)

    @job(queue="default", name="long", attempts=1)
    async def long(data: Number) -> None:
        running.release()
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(data.n)

    app = make_app(long)
    receipts = await long.dispatch_many([Number(n=n) for n in range(5)])
    async with running_worker(app, "default", drain_timeout=0.1) as (worker, recorder):
        for _ in receipts:
            await asyncio.wait_for(running.acquire(), DEADLINE)
        worker.stop()
        [told] = await recorder.wait_for("worker_stopped")
    assert told.arguments == ("default", 5)
    assert sorted(cleaned) == [0, 1, 2, 3, 4]
    assert await waiting(app, "default") == [receipt.id for receipt in receipts]
    for receipt in receipts:
        stored = await record(app, "default", receipt.id)
        assert (stored.attempts_made, stored.stalled_count, stored.failed_reason) == (0, 0, None)
    live = app.queue("default")
    assert not await live.store.client().llen(live.keys.key("active"))
    assert not await live.store.client().keys(f"{live.keys.base}*:lock")


async def test_w13_a_sync_job_that_outlives_the_deadline_is_told_and_goes_back(
    make_app: AppFactory,
) -> None:
    saw, began, end = threading.Event(), threading.Event(), threading.Event()

    @job(queue="default", name="sync", attempts=1)
    def sync(data: Number, ctx: Context) -> None:
        began.set()
        end.wait(DEADLINE)
        if ctx.cancelled:
            saw.set()

    app = make_app(sync)
    receipt = await sync.dispatch(Number())
    async with running_worker(app, "default", drain_timeout=0.1) as (worker, recorder):
        assert await asyncio.to_thread(began.wait, DEADLINE)
        worker.stop()
        await recorder.wait_for("job_returned")
        await recorder.wait_for("worker_stopped")
    assert await waiting(app, "default") == [receipt.id]
    assert (await record(app, "default", receipt.id)).attempts_made == 0
    end.set()
    assert await asyncio.to_thread(saw.wait, DEADLINE)


async def test_w13_a_job_that_swallows_its_cancellation_goes_back_all_the_same(
    make_app: AppFactory,
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @job(queue="default", name="stubborn", attempts=1)
    async def stubborn(data: Number) -> str:
        began.set()
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()
        return "too late"

    app = make_app(stubborn)
    receipt = await stubborn.dispatch(Number())
    async with running_worker(app, "default", drain_timeout=0) as (worker, recorder):
        await asyncio.wait_for(began.wait(), DEADLINE)
        worker.stop()
        await recorder.wait_for("worker_stopped")
        assert await waiting(app, "default") == [receipt.id]
        go_on.set()
    # Its late result is written nowhere.
    assert await waiting(app, "default") == [receipt.id]
    assert (await record(app, "default", receipt.id)).return_value is None
    assert not recorder.all("job_completed")


async def test_a_job_that_was_given_up_is_not_collected_while_it_goes_on(
    make_app: AppFactory,
) -> None:
    began = asyncio.Event()

    @job(queue="default", name="endless", attempts=1)
    async def endless(data: Number) -> None:
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()  # nobody but the job itself knows this one

    app = make_app(endless)
    receipt = await endless.dispatch(Number())
    async with running_worker(app, "default", drain_timeout=0) as (worker, recorder):
        await asyncio.wait_for(began.wait(), DEADLINE)
        worker.stop()
        await recorder.wait_for("worker_stopped")
    del worker
    gc.collect()
    (task,) = (one for one in asyncio.all_tasks() if receipt.id in one.get_name())
    task.cancel()
    await asyncio.wait([task], timeout=DEADLINE)


async def test_w13_a_job_that_fails_because_it_was_cancelled_spends_no_attempt(
    make_app: AppFactory,
) -> None:
    began = asyncio.Event()

    @job(queue="default", name="fails-cleaning-up", attempts=1)
    async def fails_cleaning_up(data: Number) -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            raise ConnectionError("the connection was closed already")

    app = make_app(fails_cleaning_up)
    receipt = await fails_cleaning_up.dispatch(Number())
    async with running_worker(app, "default", drain_timeout=0.1) as (worker, recorder):
        await asyncio.wait_for(began.wait(), DEADLINE)
        worker.stop()
        await recorder.wait_for("worker_stopped")
    assert await waiting(app, "default") == [receipt.id]
    assert not recorder.all("job_failed")


async def test_w13_a_job_that_ends_while_it_is_cancelled_counts(make_app: AppFactory) -> None:
    began = asyncio.Event()

    @job(queue="default", name="saves", attempts=1)
    async def saves(data: Number) -> str:
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "half of it"
        return "all of it"

    app = make_app(saves)
    receipt = await saves.dispatch(Number())
    async with running_worker(app, "default", drain_timeout=0.1) as (worker, recorder):
        await asyncio.wait_for(began.wait(), DEADLINE)
        worker.stop()
        await recorder.wait_for("worker_stopped")
    assert await receipt.result(timeout=DEADLINE) == "half of it"


async def test_w13_prioritised_jobs_go_back_to_where_they_were(make_app: AppFactory) -> None:
    running = asyncio.Semaphore(0)

    @job(queue="default", name="long")
    async def long(data: Number) -> None:
        running.release()
        await asyncio.sleep(3600)

    app = make_app(long)
    first = [await long.dispatch(Number(), priority=1, id=name) for name in ("a", "b")]
    async with running_worker(app, "default", drain_timeout=0) as (worker, recorder):
        for _ in first:
            await asyncio.wait_for(running.acquire(), DEADLINE)
        worker.stop()
        await recorder.wait_for("worker_stopped")
    later = await long.dispatch(Number(), priority=1)
    live = app.queue("default")
    ids = await live.store.client().zrange(live.keys.key("prioritized"), 0, -1)
    assert ids == [*(receipt.id for receipt in first), later.id]


@pytest.mark.slow
async def test_w13_a_stop_while_redis_is_away_has_a_deadline(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    running = asyncio.Event()

    @job(queue="default", name="long")
    async def long(data: Number) -> None:
        running.set()
        await asyncio.sleep(3600)

    app = make_app(long, url=own_server.url)
    await long.dispatch(Number())
    worker = app.worker("default", recorder := Recorder(), drain_timeout=0.1)
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(running.wait(), DEADLINE)
    own_server.kill()
    await recorder.wait_for("redis_lost")
    worker.stop()
    await asyncio.wait_for(task, DEADLINE)
    await app.aclose()

"""Whoever waits for a job hears how it ended, however late, often or unlucky the waiting is."""

from __future__ import annotations

import asyncio
import time

import pytest
from pydantic import BaseModel

from bullq import JobFailed, Keep, QueueSpec, ResultGone, ResultTimeout, job
from bullq.jobs.dispatching import DispatchOptions
from bullq.store.connection import COMMAND_TIMEOUT
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.impatience import hurry
from tests.support.pace import soonest
from tests.support.proxy import Mode, running_proxy
from tests.support.servers import RedisServer
from tests.support.workers import running_worker

REMOVES = QueueSpec(name="removes", attempts=1, keep_completed=Keep(count=0), keep_failed=Keep(0))


class Number(BaseModel):
    n: int = 0


@job(queue="removes", name="square")
async def square(data: Number) -> int:
    if data.n < 0:
        raise ValueError("negative")
    return data.n**2


async def test_a_job_removed_at_its_end_is_heard_before_and_after(make_app: AppFactory) -> None:
    app = make_app(square, queues=[REMOVES])
    async with running_worker(app, "removes") as (_, recorder):
        receipt, failing = await square.dispatch(Number(n=3)), await square.dispatch(Number(n=-1))
        await recorder.wait_for("job_completed")
        await recorder.wait_for("job_failed")
        assert await receipt.status() == "unknown"
        assert await receipt.result(timeout=DEADLINE) == 9
        with pytest.raises(JobFailed, match="negative"):
            await failing.result(timeout=DEADLINE)
        # And now with the waiting first.
        waiting = [asyncio.create_task(receipt.result(timeout=DEADLINE))]
        another = await square.dispatch(Number(n=4))
        waiting.append(asyncio.create_task(another.result(timeout=DEADLINE)))
        assert await asyncio.gather(*waiting) == [9, 16]


async def test_a_result_that_is_gone_from_the_stream_too_is_told_as_gone(
    make_app: AppFactory,
) -> None:
    app = make_app(square, queues=[REMOVES])
    async with running_worker(app, "removes") as (_, recorder):
        receipt = await square.dispatch(Number(n=3))
        await recorder.wait_for("job_completed")
    live = app.queue("removes")
    await live.store.client().delete(live.keys.key("events"))
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(ResultGone, match="keep finished jobs longer"):
            await receipt.result(timeout=3_600)


async def test_200_waiters_for_one_result_and_200_for_others_all_hear(
    make_app: AppFactory,
) -> None:
    app = make_app(square, queues=[REMOVES])
    one = await square.dispatch(Number(n=7))
    others = await square.dispatch_many([Number(n=n) for n in range(200)])
    waiting = [asyncio.create_task(one.result(timeout=DEADLINE)) for _ in range(200)]
    waiting += [asyncio.create_task(other.result(timeout=DEADLINE)) for other in others]
    async with running_worker(app, "removes"):
        results = await asyncio.gather(*waiting)
    assert results == [49] * 200 + [n**2 for n in range(200)]
    live = app.queue("removes")
    name = live.keys.client_name(":qe")

    async def readers() -> list[str]:
        clients = await live.store.client().client_list()
        return [one["name"] for one in clients if one["name"] == name]

    async with asyncio.timeout(DEADLINE):
        while await readers():  # noqa: ASYNC110 - the last one has left; nobody tells that it did
            await asyncio.sleep(0.01)


async def test_a_result_is_heard_though_the_readers_connection_is_killed(
    make_app: AppFactory,
) -> None:
    app = make_app(square, queues=[REMOVES])
    receipts = await square.dispatch_many([Number(n=n) for n in range(3)])
    waiting = [asyncio.create_task(receipt.result(timeout=DEADLINE)) for receipt in receipts]
    live = app.queue("removes")
    client = live.store.client()

    async def reader() -> str | None:
        for one in await client.client_list():
            if one["name"] == live.keys.client_name(":qe") and one["cmd"] == "xread":
                return str(one["id"])
        return None

    async with asyncio.timeout(DEADLINE):
        while not (found := await reader()):  # noqa: ASYNC110 - nobody tells that it reads
            await asyncio.sleep(0.01)
    await client.client_kill_filter(_id=found)
    # What ends while nobody reads is read when the reader is back.
    async with running_worker(app, "removes"):
        assert await asyncio.gather(*waiting) == [0, 1, 4]


async def test_time_is_up_on_time_and_the_job_goes_on(make_app: AppFactory) -> None:
    app = make_app(square, queues=[REMOVES])
    receipt = await square.dispatch(Number(n=2))

    async def spent() -> float:
        began = time.monotonic()
        with pytest.raises(ResultTimeout, match=r"did not end within 0\.2 s; it goes on"):
            await receipt.result(timeout=0.2)
        return time.monotonic() - began

    assert 0.2 <= await soonest(spent, 0.5) < 0.5
    with pytest.raises(ResultTimeout):
        await receipt.result(timeout=0)
    async with running_worker(app, "removes"):
        assert await receipt.result(timeout=DEADLINE) == 4


async def test_time_is_up_on_time_though_redis_does_not_answer(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        make_app(square, queues=[REMOVES], url=proxy.url)
        receipt = await square.dispatch(Number(n=2))
        await proxy.set_mode(Mode.BLACK_HOLE)

        async def spent() -> float:
            began = time.monotonic()
            with pytest.raises(ResultTimeout):
                await receipt.result(timeout=0.5)
            return time.monotonic() - began

        assert 0.5 <= await soonest(spent, 1) < 1
        await proxy.set_mode(Mode.PASS)


async def test_a_deduplicated_jobs_receipt_is_that_of_the_job_that_stands_for_it(
    make_app: AppFactory,
) -> None:
    app = make_app(square, queues=[REMOVES])
    first = await square.dispatch(Number(n=5), deduplication_id="five", delay=0.2)
    second = await square.dispatch(Number(n=6), deduplication_id="five")
    assert second.id == first.id
    async with running_worker(app, "removes"):
        assert await second.result(timeout=DEADLINE) == 25
        # The first has ended, and stands for nobody any more.
        third = await square.dispatch(Number(n=6), deduplication_id="five")
        assert third.id != first.id
        assert await third.result(timeout=DEADLINE) == 36


async def test_the_same_id_twice_is_one_job(make_app: AppFactory) -> None:
    runs: list[int] = []

    @job(queue="default", name="once")
    async def once(data: Number) -> int:
        runs.append(data.n)
        return data.n

    app = make_app(once)
    receipts = [await once.dispatch(Number(n=n), id="order-7") for n in (1, 2)]
    async with running_worker(app, "default"):
        assert [await one.result(timeout=DEADLINE) for one in receipts] == [1, 1]
        again = await once.dispatch(Number(n=3), id="order-7")  # its record is kept
        assert await again.result(timeout=DEADLINE) == 1
    assert runs == [1]


async def test_a_reader_whose_first_question_goes_unanswered_asks_again(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app, direct = make_app(square, url=proxy.url), make_app(square)
        receipt = await app.dispatcher.dispatch(square, Number(n=6), DispatchOptions())
        hurry(app.store, 0.3)
        unanswered = proxy.catch(b"XREVRANGE")
        waiting = asyncio.create_task(receipt.result(timeout=DEADLINE))
        await asyncio.wait_for(unanswered.answered.wait(), DEADLINE)
        hurry(app.store, COMMAND_TIMEOUT)
        async with running_worker(direct, "removes"):
            assert await asyncio.wait_for(waiting, DEADLINE) == 36

"""How jobs travel to their queue: at once, or with others, and in order whatever happens."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bullq import Bullq, DispatchError, InvalidOptionError
from bullq.queues.adds import MOST_COST
from bullq.queues.queue import JobQueue
from bullq.store.adding import JobKind, NewJob
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.proxy import running_proxy
from tests.support.servers import RedisServer

KIND = JobKind("job", {})


def new(*numbers: int | str) -> list[NewJob]:
    return [NewJob(KIND, f"job-{number}", "{}") for number in numbers]


async def waiting(queue: JobQueue) -> list[str]:
    ids: list[str] = await queue.store.client().lrange(queue.keys.key("wait"), 0, -1)
    return ids[::-1]


async def evalsha_calls(queue: JobQueue) -> int:
    stats: dict[str, Any] = await queue.store.client().info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


async def ready_queue(app: Bullq) -> JobQueue:
    """Give a queue that is connected, and whose script the server knows."""
    queue = app.queue("default")
    await queue.add(*new("first"))
    return queue


async def test_a_lone_caller_s_job_is_sent_in_its_own_step(make_app: AppFactory) -> None:
    queue = await ready_queue(make_app())
    added = queue._adds.add(*new(1))
    # No turn of the event loop from here on, until the job is there.
    with queue.store.thread_client() as client:
        end = time.monotonic() + DEADLINE
        while client.lindex(queue.keys.key("wait"), 0) != "job-1":
            assert time.monotonic() < end
    assert not added.done()
    assert await added == "job-1"


async def test_many_callers_share_few_calls_and_each_keeps_its_order(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    queue = await ready_queue(make_app(url=own_server.url))
    before = await evalsha_calls(queue)

    async def caller(number: int) -> list[str]:
        return [await queue.add(job) for job in new(*(f"{number}-{n}" for n in range(20)))]

    told = await asyncio.gather(*map(caller, range(50)))
    assert told == [[f"job-{number}-{n}" for n in range(20)] for number in range(50)]
    _, *ids = await waiting(queue)
    for number in range(50):
        assert [one for one in ids if one.startswith(f"job-{number}-")] == told[number]
    assert await evalsha_calls(queue) - before < 100  # of 1,000 jobs


async def test_callers_that_leave_hurt_nobody_and_add_nothing_that_was_not_sent(
    make_app: AppFactory,
) -> None:
    queue = await ready_queue(make_app())
    tasks = [asyncio.create_task(queue.add(*new(number))) for number in range(100)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert told[::2] == [f"job-{number}" for number in range(0, 100, 2)]
    assert all(isinstance(one, asyncio.CancelledError) for one in told[1::2])
    # The second of two calls was under way when its caller left.
    assert await waiting(queue) == ["job-first", "job-0", "job-1", *told[2::2]]


async def test_a_server_that_has_forgotten_the_script_gets_the_jobs_in_order(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    queue = await ready_queue(make_app(url=own_server.url))
    client = queue.store.client()
    bulk = new(*range(5 * MOST_COST))
    await client.script_flush()
    assert await queue.add_many(bulk) == [job.id for job in bulk]
    _, *ids = await waiting(queue)
    assert ids == [job.id for job in bulk]
    await client.script_flush()
    single = new(*(f"single-{n}" for n in range(20)))
    await asyncio.gather(*map(queue.add, single))
    assert (await waiting(queue))[-20:] == [job.id for job in single]


async def test_a_lost_connection_is_made_again_for_those_who_add_next(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        queue = await ready_queue(make_app(url=proxy.url))
        await proxy.cut_all()
        await asyncio.gather(*(queue.add(job) for job in new(*range(30))), return_exceptions=True)
        assert await queue.add_many(new(*range(30, 60))) == [f"job-{n}" for n in range(30, 60)]
        ids = await waiting(queue)
        assert ids[-30:] == [f"job-{n}" for n in range(30, 60)]


async def test_a_bulk_ends_at_the_job_that_cannot_be_added(make_app: AppFactory) -> None:
    queue = await ready_queue(make_app())
    jobs = new(*range(3 * MOST_COST))
    jobs[MOST_COST + 5] = NewJob(KIND, "half \ud800", "{}")
    with pytest.raises(InvalidOptionError, match=r"half .* cannot be added: .*Of 750 jobs") as cut:
        await queue.add_many(jobs)
    _, *ids = await waiting(queue)
    left = [job.id for place, job in enumerate(jobs[: 2 * MOST_COST]) if place != MOST_COST + 5]
    assert ids == left
    assert list(cut.value.queued.values()) == left
    assert MOST_COST + 5 not in cut.value.queued
    assert not cut.value.doubtful


async def test_large_jobs_go_in_smaller_calls(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    queue = await ready_queue(make_app(url=own_server.url))
    before = await evalsha_calls(queue)
    await queue.add_many([NewJob(KIND, f"job-{n}", f'"{"x" * 409_600}"') for n in range(10)])
    assert await evalsha_calls(queue) - before == 4  # 3 jobs of 100 units each pass 250


async def test_an_error_of_a_dispatch_says_that_nothing_is_queued() -> None:
    error = DispatchError("no")
    assert not error.receipts
    assert not error.queued
    assert not error.doubtful

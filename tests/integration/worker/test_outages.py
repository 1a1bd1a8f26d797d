"""Redis is killed, stopped, cut off or made read-only under a busy worker: no job is lost."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter

import pytest
from pydantic import BaseModel

from bullq import Bullq, QueueSpec, StoreUnavailable, job
from bullq.jobs.dispatching import DispatchOptions
from bullq.protocol.record import JobRecord
from bullq.store.connection import COMMAND_TIMEOUT
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.impatience import hurry
from tests.support.proxy import Mode, running_proxy
from tests.support.servers import RedisServer
from tests.support.workers import running_worker


class Number(BaseModel):
    n: int = 0


ONE = QueueSpec(name="one", concurrency=1)
BACK = 5.0
"""Seconds from the server's answer to the worker's, who tries twice a second at least."""

runs: Counter[int] = Counter()


@pytest.fixture(autouse=True)
def no_runs() -> None:
    runs.clear()


@job(queue="default", name="count", attempts=1)
async def count(data: Number) -> int:
    runs[data.n] += 1
    await asyncio.sleep(0)
    return data.n


async def records(app: Bullq, ids: list[str]) -> list[JobRecord]:
    live = app.queue("default")
    pipe = live.store.client().pipeline(transaction=False)
    for one in ids:
        pipe.hgetall(live.keys.job(one))
    return [JobRecord(one, fields) for one, fields in zip(ids, await pipe.execute(), strict=True)]


async def states(app: Bullq) -> dict[str, int]:
    """Count the jobs of the queue, state by state."""
    live = app.queue("default")
    client = live.store.client()
    found = {
        "wait": await client.llen(live.keys.key("wait")),
        "active": await client.llen(live.keys.key("active")),
        "completed": await client.zcard(live.keys.key("completed")),
        "failed": await client.zcard(live.keys.key("failed")),
        "delayed": await client.zcard(live.keys.key("delayed")),
    }
    return {state: number for state, number in found.items() if number}


async def test_a_server_killed_and_restarted_under_load_loses_no_job(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    app = make_app(count, url=own_server.url)
    receipts = await count.dispatch_many([Number(n=n) for n in range(900)])
    async with running_worker(app, "default") as (_, recorder):
        await recorder.wait_for("job_completed", 100)
        own_server.kill()
        await recorder.wait_for("redis_lost")
        await asyncio.to_thread(own_server.start)
        answers = time.monotonic()
        await recorder.wait_for("redis_back")
        assert time.monotonic() - answers < BACK
        await recorder.wait_for("job_completed", 900)
        # One outage; a server that has just come back may be away again while it reads its file.
        assert recorder.counts["redis_lost"] == recorder.counts["redis_back"] <= 2
    assert await states(app) == {"completed": 900}
    assert set(runs) == set(range(900))
    for record in await records(app, [receipt.id for receipt in receipts]):
        assert (record.attempts_made, record.stalled_count) == (1, 0)
    assert runs.total() == 900
    await app.aclose()


async def test_a_server_that_is_silent_and_then_answers_loses_no_job(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    """As below, with shorter deadlines."""
    await silent_for(2.0, make_app(count, url=own_server.url), own_server, patience=0.5)


@pytest.mark.slow
async def test_a_server_that_is_silent_for_8_s_loses_no_job(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    await silent_for(8, make_app(count, url=own_server.url), own_server)


async def silent_for(
    seconds: float, app: Bullq, server: RedisServer, patience: float = COMMAND_TIMEOUT
) -> None:
    await count.dispatch_many([Number(n=n) for n in range(900)])
    async with running_worker(app, "default") as (_, recorder):
        await recorder.wait_for("job_completed", 100)
        server.signal(signal.SIGSTOP)
        hurry(app.store, patience)
        await asyncio.sleep(seconds)  # how long it is silent
        await recorder.wait_for("redis_lost")
        hurry(app.store, COMMAND_TIMEOUT)
        server.signal(signal.SIGCONT)
        answers = time.monotonic()
        await recorder.wait_for("redis_back")
        assert time.monotonic() - answers < BACK
        await recorder.wait_for("job_completed", 900)
        assert len(recorder.all("redis_lost")) == len(recorder.all("redis_back")) == 1
        assert not recorder.all("job_lost") + recorder.all("jobs_stalled")
    assert await states(app) == {"completed": 900}
    assert runs.total() == len(runs) == 900
    await app.aclose()


async def test_all_connections_killed_under_load_loses_no_job(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    app = make_app(count, url=own_server.url)
    await count.dispatch_many([Number(n=n) for n in range(900)])
    client = app.store.client()
    async with running_worker(app, "default") as (_, recorder):
        for completed in (100, 300, 500):
            await recorder.wait_for("job_completed", completed)
            await client.client_kill_filter(_type="normal", skipme=True)
        await recorder.wait_for("job_completed", 900)
        assert not recorder.all("job_lost") + recorder.all("jobs_stalled")
    assert await states(app) == {"completed": 900}
    assert runs.total() == len(runs) == 900
    await app.aclose()


async def test_jobs_claimed_by_a_call_whose_reply_is_lost_are_found_again_at_once(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    """Not only by the stalled check, after 30 s and more."""
    async with running_proxy(valkey.port) as proxy:
        app, _direct = make_app(count, url=proxy.url), make_app(count)  # which dispatches
        async with running_worker(app, "default") as (_, recorder):
            await (await count.dispatch(Number(n=-1))).result()
            lost = proxy.catch_reply(b'"n":0')
            receipts = await count.dispatch_many([Number(n=n) for n in range(3)])
            await asyncio.wait_for(lost.answered.wait(), DEADLINE)
            lost.cut()
            for receipt in receipts:
                await receipt.result(timeout=DEADLINE)
            assert len(recorder.all("redis_lost")) == len(recorder.all("redis_back")) == 1
        for record in await records(app, [receipt.id for receipt in receipts]):
            assert (record.attempts_started, record.stalled_count) == (1, 0)
        assert runs.total() == 4


async def test_replies_lost_one_after_another_under_load_lose_no_job(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    """Calls that settle and claim at once, each executed, none of them answered."""
    async with running_proxy(valkey.port) as proxy:
        app = make_app(count, url=proxy.url)
        receipts = await count.dispatch_many([Number(n=n) for n in range(600)])
        async with running_worker(app, "default") as (_, recorder):
            for completed in range(50, 400, 50):
                await recorder.wait_for("job_completed", completed)
                lost = proxy.catch_reply(b'"n":')
                await asyncio.wait_for(lost.answered.wait(), DEADLINE)
                lost.cut()
            await recorder.wait_for("job_completed", 600)
            assert not recorder.all("job_lost") + recorder.all("jobs_stalled")
        assert await states(app) == {"completed": 600}
        assert runs.total() == len(runs) == 600
        for record in await records(app, [receipt.id for receipt in receipts]):
            assert (record.attempts_started, record.attempts_made) == (1, 1)


async def test_a_network_that_swallows_everything_is_noticed_and_survived(
    make_app: AppFactory, valkey: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app, direct = make_app(count, url=proxy.url), make_app(count)
        async with running_worker(app, "default", longest_block=0.5) as (worker, recorder):
            await proxy.set_mode(Mode.BLACK_HOLE)
            hurry(app.store, 0.5)
            monkeypatch.setattr("bullq.worker.wakeup._ANSWER_MARGIN", 0.5)
            await recorder.wait_for("redis_lost", recorder.counts["redis_back"] + 1)
            assert worker.health.is_lost
            await direct.queue("default").live.add("count", {"n": 5}, {"jobId": "meanwhile"})
            await proxy.set_mode(Mode.PASS)
            await recorder.wait_for("job_completed")
            hurry(app.store, COMMAND_TIMEOUT)
            monkeypatch.setattr("bullq.worker.wakeup._ANSWER_MARGIN", 5.0)
            await recorder.wait_for("redis_back", recorder.counts["redis_lost"])
            assert not worker.health.is_lost
        assert runs == {5: 1}


async def test_a_server_that_turns_read_only_for_a_while_loses_no_outcome(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    go_on = asyncio.Event()

    @job(queue="one", name="waits", attempts=1)
    async def waits(data: Number) -> str:
        runs[data.n] += 1
        await go_on.wait()
        return "done"

    app = make_app(waits, queues=[ONE], url=own_server.url)
    client = app.store.client()
    receipt = await waits.dispatch(Number(n=1))
    async with running_worker(app, "one") as (_, recorder):
        await recorder.wait_for("job_started")
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        go_on.set()
        await recorder.wait_for("redis_lost")
        with pytest.raises(StoreUnavailable, match=r"cannot serve now: .*read only"):
            await waits.dispatch(Number(n=2))
        await client.execute_command("REPLICAOF", "NO", "ONE")
        assert await receipt.result(timeout=DEADLINE) == "done"
        assert not recorder.all("trouble") + recorder.all("job_lost")
    assert runs == {1: 1}
    await app.aclose()


async def test_a_server_out_of_memory_takes_no_new_jobs_and_loses_no_outcome(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    go_on = asyncio.Event()

    @job(queue="one", name="waits", attempts=1)
    async def waits(data: Number) -> str:
        runs[data.n] += 1
        await go_on.wait()
        return "done"

    app = make_app(waits, queues=[ONE], url=own_server.url)
    client = app.store.client()
    first, then = await waits.dispatch_many([Number(n=1), Number(n=2)])
    async with running_worker(app, "one") as (_, recorder):
        await recorder.wait_for("job_started")
        await client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable, match=r"cannot serve now: .*memory"):
            await waits.dispatch(Number(n=3))
        # What is there already is worked off, which frees the memory.
        go_on.set()
        await recorder.wait_for("job_completed", 2)
        await client.config_set("maxmemory", "0")
        assert [await one.result(timeout=DEADLINE) for one in (first, then)] == ["done", "done"]
        assert not recorder.all("trouble") + recorder.all("job_lost")
    assert runs == {1: 1, 2: 1}
    await app.aclose()


async def test_a_server_that_refuses_writes_while_a_worker_stops_loses_no_outcome(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    """Here nothing is claimed with the settlement, so that it alone meets the refusal."""
    go_on = asyncio.Event()

    @job(queue="default", name="waits", attempts=1)
    async def waits(data: Number) -> str:
        await go_on.wait()
        return "done"

    app = make_app(waits, url=own_server.url)
    client = app.store.client()
    receipt = await waits.dispatch(Number(n=1))
    async with running_worker(app, "default") as (worker, recorder):
        await recorder.wait_for("job_started")
        worker.stop()
        await recorder.wait_for("worker_stopping")
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        go_on.set()
        await recorder.wait_for("redis_lost")
        await client.execute_command("REPLICAOF", "NO", "ONE")
        await recorder.wait_for("job_completed")
        assert not recorder.all("trouble") + recorder.all("job_lost")
    assert await receipt.status() == "completed"
    await app.aclose()


async def test_a_worker_whose_marker_cannot_be_put_back_is_not_deaf(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    """It took the marker while its only slot was taken, and Redis says nothing to its return."""
    began, go_on = asyncio.Event(), asyncio.Event()

    @job(queue="one", name="hold")
    async def hold(data: Number) -> None:
        if data.n == 0:
            began.set()
            await go_on.wait()

    async with running_proxy(valkey.port) as proxy:
        app = make_app(hold, queues=[ONE], url=proxy.url)
        direct = make_app(hold, queues=[ONE])
        async with running_worker(app, "one", longest_block=3_600) as (_, recorder):
            await direct.dispatcher.dispatch(hold, Number(n=1), DispatchOptions())
            await recorder.wait_for("job_completed")
            hurry(app.store, 0.5)
            unanswered = proxy.catch(b"ZADD")
            # Begun by the clock, it leaves the marker to whoever listens.
            await direct.dispatcher.dispatch(hold, Number(n=0), DispatchOptions(delay=0.3))
            await asyncio.wait_for(began.wait(), DEADLINE)
            await direct.dispatcher.dispatch(hold, Number(n=2), DispatchOptions())
            await asyncio.wait_for(unanswered.answered.wait(), DEADLINE)
            go_on.set()
            await recorder.wait_for("job_completed", 3)
            await direct.dispatcher.dispatch(hold, Number(n=3), DispatchOptions())
            await recorder.wait_for("job_completed", 4)

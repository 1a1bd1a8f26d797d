"""A worker that waits hears at once what there is to do, asks for no more, and trusts no clock."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from datetime import timedelta
from typing import Any

import pytest
import redis
from pydantic import BaseModel

from bullq import Backoff, QueueSpec, RateLimit, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.pace import soonest
from tests.support.proxy import running_proxy
from tests.support.servers import RedisServer
from tests.support.workers import running_worker

LATE_MS = 150
"""How late a job may begin, in ms, where nothing else is to do; the defects cost 335 and more."""
DEAF_MS = 1_500
FOR_EVER = 3600.0
"""Seconds: a worker that waits for its marker as long is woken by nothing else."""


class Sent(BaseModel):
    due: float = 0.0
    """By time.monotonic(), which all of this machine's processes share."""


class Pickups:
    """Hears from a job how late each pickup was, in ms."""

    def __init__(self, queue: str) -> None:
        self.heard: asyncio.Queue[float] = asyncio.Queue()

        @job(queue=queue, name="pick-up", attempts=1)
        async def pick_up(data: Sent) -> None:
            self.heard.put_nowait((time.monotonic() - data.due) * 1000)

        self.job = pick_up

    async def send(self, delay: float = 0.0) -> float:
        """Send a job and give how late it was, which is never too early."""
        await self.job.dispatch(Sent(due=time.monotonic() + delay), delay=delay)
        late = await asyncio.wait_for(self.heard.get(), DEADLINE)
        assert late >= -5
        return late


@pytest.mark.slow
async def test_w01_a_worker_that_was_idle_for_40_s_is_not_deaf(make_app: AppFactory) -> None:
    """With an empty queue, and with a job that is delayed to tomorrow."""
    empty, later = Pickups("empty"), Pickups("later")
    app = make_app(empty.job, later.job)
    await later.job.dispatch(Sent(), delay=timedelta(days=1))
    waits: dict[str, Any] = {
        "longest_block": 20.0
    }  # longer than redis-py's own bound, which is 5 s
    async with running_worker(app, "empty", **waits), running_worker(app, "later", **waits):
        await asyncio.sleep(40)  # idleness itself is what is tested
        # A deaf worker begins when redis-py has given up, 2 to 20 s later, or asks by itself.
        assert await empty.send() < DEAF_MS
        assert await later.send() < DEAF_MS


async def test_w01_a_job_that_comes_while_a_claim_is_under_way_is_not_missed(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    """The claim has found nothing, and its answer comes after the job's marker was taken."""
    pickups = Pickups("crossing")
    async with running_proxy(own_server.port) as proxy:
        app, direct = (make_app(pickups.job, url=one.url) for one in (proxy, own_server))
        keys, client = direct.queue("crossing").keys, direct.store.client()
        async with running_worker(app, "crossing", longest_block=FOR_EVER) as (worker, _):
            await pickups.send()
            with redis.Redis.from_url(own_server.url, decode_responses=True) as other:
                await quiet(other)
            claim = proxy.catch(worker._exchange._token_prefix.encode())
            worker._exchange.look()
            await asyncio.wait_for(claim.answered.wait(), DEADLINE)
            begins = asyncio.create_task(pickups.send())
            wait, marker = keys.key("wait"), keys.key("marker")
            async with asyncio.timeout(DEADLINE):
                while not await client.llen(wait) or await client.exists(marker):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # the listener tells nobody what it takes
            claim.let_go()
            await begins
        await app.aclose()
        await direct.aclose()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_w01_a_worker_whose_listening_connection_dies_listens_again(
    make_app: AppFactory, *, busy: bool
) -> None:
    """Also under its name, by which dashboards find it."""
    pickups = Pickups("idle")
    began, go_on = asyncio.Event(), asyncio.Event()

    @job(queue="idle", name="holds-the-slot")
    async def holds_the_slot(data: Sent) -> None:
        began.set()
        await go_on.wait()

    app = make_app(pickups.job, holds_the_slot)
    async with running_worker(app, "idle", concurrency=1, longest_block=FOR_EVER):
        await pickups.send()
        if busy:
            await holds_the_slot.dispatch(Sent())
            await asyncio.wait_for(began.wait(), DEADLINE)
        queue = app.queue("idle")
        client = queue.store.client()
        name = queue.keys.worker_client_name("")

        async def listeners() -> list[str]:
            """Give the ids of the connections that wait for the marker."""
            return [one["id"] for one in await client.client_list() if one["name"].startswith(name)]

        [listener] = await listeners()
        await client.client_kill_filter(_id=listener)
        go_on.set()
        await pickups.send()
        async with asyncio.timeout(DEADLINE):
            while (now := await listeners()) in ([], [listener]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # a worker tells nobody when it begins to listen
        await pickups.send()
        assert await listeners() == now


async def test_w02_a_rate_limit_costs_exactly_its_time(make_app: AppFactory) -> None:
    numbers = itertools.count(1)

    async def beyond() -> float:
        return await beyond_the_limits(make_app, f"limited-{next(numbers)}")

    assert await soonest(beyond, 2 * LATE_MS) < 2 * LATE_MS


async def beyond_the_limits(make_app: AppFactory, name: str) -> float:
    """Run 6 jobs of a queue at 2 per 500 ms; give the ms that they have taken beyond a second."""
    began = 0
    all_began = asyncio.Event()

    @job(queue=name, name="limited")
    async def limited(data: Sent) -> None:
        nonlocal began
        began += 1
        if began == 6:
            all_began.set()

    spec = QueueSpec(name=name, rate_limit=RateLimit(2, timedelta(milliseconds=500)))
    app = make_app(limited, queues=[spec])
    receipts = await limited.dispatch_many([Sent()] * 6)
    async with running_worker(app, name, longest_block=FOR_EVER):
        await asyncio.wait_for(all_began.wait(), DEADLINE)
    # By the server's clock: how late a job hears of its claim is another matter.
    queue = app.queue(name)
    client = queue.store.client()
    claimed = sorted(
        [int(await client.hget(queue.keys.job(one.id), "processedOn")) for one in receipts]
    )
    assert claimed[2] - claimed[0] >= 499
    assert claimed[4] - claimed[2] >= 499
    return claimed[5] - claimed[0] - 1_000


async def test_w02_a_rate_limit_that_is_lifted_holds_nobody_up_for_its_whole_time(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.worker.exchange._LONGEST_LIMIT", 0.3)
    pickups = Pickups("limited")
    spec = QueueSpec(name="limited", rate_limit=RateLimit(1, per=timedelta(hours=1)))
    app = make_app(pickups.job, queues=[spec])
    async with running_worker(app, "limited") as (worker, _):
        await pickups.send()
        sending = asyncio.create_task(pickups.send())
        async with asyncio.timeout(DEADLINE):
            while not worker._exchange.is_limited:  # noqa: ASYNC110 - the worker tells nobody
                await asyncio.sleep(0.01)
        queue = app.queue("limited")
        await queue.store.client().delete(queue.keys.key("limiter"))
        await asyncio.wait_for(sending, DEADLINE)


@pytest.mark.parametrize("workers", [1, 2])
async def test_w02_global_concurrency_begins_the_next_job_when_one_ends(
    make_app: AppFactory, workers: int
) -> None:
    """None of them waits until the queue is asked again, which the workers here never do."""
    at_once, most = 0, 0

    @job(queue="narrow", name="narrow")
    async def narrow(data: Sent) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)  # long enough to overlap where that were possible
        at_once -= 1

    app = make_app(narrow)
    queue = app.queue("narrow")
    await queue.store.client().hset(queue.keys.key("meta"), "concurrency", 1)
    receipts = await narrow.dispatch_many([Sent()] * 20)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(workers):
            running = running_worker(app, "narrow", name=f"w{number}", longest_block=FOR_EVER)
            await stack.enter_async_context(running)
        await asyncio.gather(*(receipt.result(timeout=DEADLINE) for receipt in receipts))
    assert most == 1


async def test_w03_a_delay_of_700_ms_is_not_rounded_up_to_a_second(make_app: AppFactory) -> None:
    pickups = Pickups("delays")
    app = make_app(pickups.job)
    async with running_worker(app, "delays"):
        assert await soonest(lambda: pickups.send(delay=0.7), LATE_MS) < LATE_MS


async def test_w03_a_sooner_delay_that_comes_later_is_on_time_and_so_is_the_other(
    make_app: AppFactory,
) -> None:
    pickups = Pickups("delays")
    app = make_app(pickups.job)

    async def later_of_both() -> float:
        await pickups.job.dispatch(Sent(due=time.monotonic() + 2.0), delay=2.0)
        await pickups.job.dispatch(Sent(due=time.monotonic() + 0.3), delay=0.3)
        late = [await asyncio.wait_for(pickups.heard.get(), DEADLINE) for _ in range(2)]
        assert min(late) >= -5
        return max(late)

    async with running_worker(app, "delays"):
        assert await soonest(later_of_both, LATE_MS) < LATE_MS


async def test_w23_a_fast_clock_fires_no_delay_too_early(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickups = Pickups("clocks")
    app = make_app(pickups.job)
    receipt = await pickups.job.dispatch(Sent(), delay=timedelta(hours=5))
    soon = await pickups.job.dispatch(Sent(due=time.monotonic() + 1.5), delay=1.5)
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 6 * 3_600)
    async with running_worker(app, "clocks") as (_, recorder):
        assert await asyncio.wait_for(pickups.heard.get(), DEADLINE) >= -5
        await recorder.wait_for("job_completed")
        assert await receipt.status() == "delayed"
        assert await soon.status() == "completed"
        assert len(recorder.all("job_started")) == 1
        queue = app.queue("clocks")
        client = queue.store.client()
        [(_, score)] = await client.zrange(queue.keys.key("delayed"), 0, 0, withscores=True)
        assert 4 * 3_600_000 < score / 4096 - right() * 1000 < 5 * 3_600_000 + 1_000


@pytest.mark.parametrize("ahead", [60, -60])
async def test_w23_a_backoff_is_counted_by_the_servers_clock(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    began: list[float] = []

    @job(queue="clocks", name="second-time", attempts=2, backoff=Backoff.fixed(0.5))
    async def second_time(data: Sent) -> None:
        began.append(time.monotonic())
        if len(began) == 1:
            raise ValueError("once")

    app = make_app(second_time)
    receipt = await second_time.dispatch(Sent())
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead)
    async with running_worker(app, "clocks") as (_, recorder):
        await recorder.wait_for("job_completed")
    assert await receipt.status() == "completed"
    assert 0.49 <= began[1] - began[0] < 60 / 2


async def test_w23_a_slow_clock_delays_nothing(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickups = Pickups("clocks")
    app = make_app(pickups.job)
    await pickups.job.dispatch(Sent(due=time.monotonic() + 1), delay=1)
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() - 60)
    async with running_worker(app, "clocks"):
        assert -5 <= await asyncio.wait_for(pickups.heard.get(), DEADLINE) < 60_000 / 2


@pytest.mark.parametrize("ahead", [60, -60])
async def test_w23_a_clock_that_is_set_while_a_worker_waits_disturbs_no_delay(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    pickups = Pickups("clocks")
    app = make_app(pickups.job)
    right = time.time
    async with running_worker(app, "clocks") as (_, recorder):
        await pickups.send()
        await recorder.wait_for("job_completed")
        monkeypatch.setattr(time, "time", lambda: right() + ahead)
        assert await pickups.send(delay=0.7) < 60_000 / 2


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1.0), (10, 0.4), (100, 0.1)])
async def test_w04_a_job_costs_one_script_call_at_most(
    make_app: AppFactory, own_server: RedisServer, concurrency: int, most: float
) -> None:
    """One call settles what has ended and claims what is next, for many jobs where many run."""

    @job(queue="many", name="noop")
    async def noop(data: Sent) -> None:
        pass

    jobs = 500
    app = make_app(noop, url=own_server.url)
    await noop.dispatch_many([Sent()] * jobs)
    with redis.Redis.from_url(own_server.url, decode_responses=True) as other:
        before = script_calls(other)
        async with running_worker(app, "many", concurrency=concurrency) as (_, recorder):
            await recorder.wait_for("job_completed", jobs)
            calls = script_calls(other) - before
    per_job = (calls - AROUND) / jobs
    assert per_job <= most, f"{calls} calls for {jobs} jobs"
    await app.aclose()


@pytest.mark.parametrize("concurrency", [1, 10, 100])
async def test_w24_a_lone_job_costs_at_most_5_script_calls(
    make_app: AppFactory, own_server: RedisServer, concurrency: int
) -> None:
    pickups = Pickups("lone")
    app = make_app(pickups.job, url=own_server.url)
    terms: dict[str, Any] = {"concurrency": concurrency, "longest_block": FOR_EVER}
    async with running_worker(app, "lone", **terms) as (_, recorder):
        await pickups.send()  # scripts are loaded, the stalled check is made
        with redis.Redis.from_url(own_server.url, decode_responses=True) as other:
            await quiet(other)
            before = script_calls(other)
            await pickups.send()
            await recorder.wait_for("job_completed", 2)
            await quiet(other)
            calls = script_calls(other) - before - 1  # one added the job
    assert 2 <= calls <= 5
    await app.aclose()


AROUND = 10
"""Script calls of a worker's start: the stalled check, scripts' texts, claims that find little."""


def script_calls(client: redis.Redis) -> int:
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


async def quiet(client: redis.Redis) -> None:
    """Wait until the worker blocks and calls nothing any more."""

    def state() -> tuple[int, int]:
        return script_calls(client), client.info("clients")["blocked_clients"]

    async with asyncio.timeout(DEADLINE):
        before = (-1, 0)
        while (now := state()) != before or not now[1]:
            before = now
            await asyncio.sleep(0.2)

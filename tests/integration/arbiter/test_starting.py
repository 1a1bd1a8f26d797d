"""The start of a job: whoever waits for it hears of it, in the call that claims the job."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import bullmq
import pytest
from pydantic import BaseModel

from bullq import Bullq, job
from bullq.protocol.events import ROUTED_VALUE
from bullq.settings import Settings
from bullq.store.adding import AddScript, JobKind, NewJob
from bullq.store.arbiter import read_started, started_channel
from tests.integration.arbiter.conftest import Bench
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import Recorder


async def listen(bench: Bench, dispatcher: str) -> Any:
    heard = bench.client.pubsub(ignore_subscribe_messages=True)
    await heard.subscribe(started_channel(bench.keys.prefix, dispatcher))
    await heard.parse_response()  # that it listens
    return heard


async def messages(heard: Any, count: int) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            if message := await heard.get_message(timeout=DEADLINE):
                found.append(read_started(message["data"]))
    return found


@pytest.mark.parametrize("way", ["plain", "official"])
async def test_each_dispatcher_hears_of_its_own_jobs_in_one_message(bench: Bench, way: str) -> None:
    mine, yours = await listen(bench, "me"), await listen(bench, "you")
    await bench.add("a", "b")
    await bench.add("c", dispatcher="you")
    assert len(await bench.claim(3, plain=way == "plain")) == 3
    assert await messages(mine, 1) == [("default", ["a", "b"])]
    assert await messages(yours, 1) == [("default", ["c"])]
    for heard in (mine, yours):
        assert await heard.get_message(timeout=0.05) is None
        await heard.aclose()


@pytest.mark.parametrize("way", ["plain", "official"])
async def test_a_job_that_has_begun_is_not_overdue_any_more(bench: Bench, way: str) -> None:
    await bench.add("a")
    [claimed] = await bench.claim(plain=way == "plain")
    begun = await bench.pickup("a")
    assert begun == -int((await bench.record("a"))["processedOn"])
    assert claimed.record.fields["ats"] == "1"


@pytest.mark.parametrize("way", ["plain", "official"])
async def test_a_job_that_nobody_waits_for_costs_nothing(bench: Bench, way: str) -> None:
    adds = AddScript(bench.store.pipelined(), bench.keys)
    await adds.add_jobs([NewJob(JobKind("job", {}), "a", "{}")])
    await bench.client.config_resetstat()
    assert len(await bench.claim(plain=way == "plain")) == 1
    stats = await bench.client.info("commandstats")
    assert not {"cmdstat_publish", "cmdstat_zrem"} & set(stats)
    assert not {key for key in await bench.left() if key.startswith("bullq:")}


async def calls(bench: Bench) -> Counter[str]:
    stats = await bench.client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


async def test_a_batch_costs_few_commands_more_than_one_without_confirmation(bench: Bench) -> None:
    ids, kind = [f"job-{number}" for number in range(50)], JobKind("job", {})
    adds = AddScript(bench.store.pipelined(), bench.keys)
    await bench.add("first", seen=("none",))
    await adds.add_jobs([NewJob(kind, "second", "{}")])
    await bench.claim(2)
    heard = await listen(bench, "me")
    await bench.client.config_resetstat()
    await adds.add_jobs([NewJob(kind, f"plain-{job_id}", "{}") for job_id in ids])
    await bench.claim(50)
    without = await calls(bench)
    await bench.client.config_resetstat()
    await bench.add(*ids, seen=("first",))
    await bench.claim(50)
    more = await calls(bench) - without
    # Adding: get, zrem (what is seen), time, zmscore, zadd. Claiming: zadd, publish.
    assert more == Counter(get=1, zrem=1, time=1, zmscore=1, zadd=2, publish=1)
    await heard.aclose()


async def test_a_second_attempt_is_not_told_again(bench: Bench) -> None:
    await bench.add("a")
    await bench.claim()
    heard = await listen(bench, "me")
    await bench.client.delete(f"{bench.keys.job('a')}:lock", bench.keys.key("active"))
    for plain in (True, False):
        await bench.client.rpush(bench.keys.key("wait"), "a")
        assert len(await bench.claim(plain=plain)) == 1
        await bench.client.delete(f"{bench.keys.job('a')}:lock", bench.keys.key("active"))
    assert await heard.get_message(timeout=0.05) is None
    await heard.aclose()


async def test_what_is_wrong_with_the_index_keeps_no_job_from_its_worker(bench: Bench) -> None:
    await bench.add("a")
    await bench.client.set(bench.keys.key("bullq:pickups"), "text")
    assert [one.record.id for one in await bench.claim()] == ["a"]


async def test_a_queue_tells_how_it_does(bench: Bench) -> None:
    await bench.add("a", "b", "c")
    await bench.add("d", priority=1)
    await bench.add("e", delay=60_000)
    idle = (await bench.arbiter.look([])).queue
    assert (idle.waiting, idle.prioritized, idle.delayed, idle.active) == (3, 1, 1, 0)
    assert (idle.paused, idle.claimed_at_ms, idle.is_held) == (False, 0, False)
    await bench.claim()
    await bench.client.hset(bench.keys.key("meta"), mapping={"paused": 1, "concurrency": 7})
    looked = await bench.arbiter.look(["a", "b"])
    busy = looked.queue
    assert (busy.waiting, busy.active, busy.paused, busy.concurrency) == (2, 1, True, 7)
    assert busy.is_held
    assert 0 <= looked.server_ms - busy.claimed_at_ms < 60_000
    await bench.client.delete(f"{bench.keys.job('a')}:lock", bench.keys.key("active"))
    gone = (await bench.arbiter.look([])).queue
    assert not gone.is_held
    # No job is active: the stream tells when one was claimed.
    assert abs(gone.claimed_at_ms - busy.claimed_at_ms) < 1_000


async def test_a_rate_limit_that_is_used_up_is_told(bench: Bench) -> None:
    await bench.client.hset(bench.keys.key("meta"), mapping={"max": 2, "duration": 60_000})
    await bench.client.set(bench.keys.key("limiter"), 1, px=60_000)
    assert (await bench.arbiter.look([])).queue.limited_for_ms == 0
    await bench.client.incr(bench.keys.key("limiter"))
    assert 0 < (await bench.arbiter.look([])).queue.limited_for_ms <= 60_000


RAN: list[int] = []


class Number(BaseModel):
    number: int = 0


@job(queue="default", name="job")
async def count(data: Number) -> None:
    RAN.append(data.number)


async def test_a_job_that_another_engine_has_does_not_run_here_when_it_is_retried_by_hand(
    bench: Bench, server: RedisServer
) -> None:
    await bench.add("a")
    await bench.settle("a")
    queue = bullmq.Queue("default", {"connection": bench.client, "prefix": bench.keys.prefix})
    tombstone = await bullmq.Job.fromId(queue, "a")
    await tombstone.retry("completed")
    settings = Settings(REDIS_URL=server.url, BULLQ_PREFIX=bench.keys.prefix)
    app = Bullq(jobs=[count], settings=settings)
    RAN.clear()
    await app.worker("default", Recorder()).run(burst=True)
    assert RAN == []
    assert (await bench.record("a"))["returnvalue"] == ROUTED_VALUE
    # What has ended over there is a job like any other.
    await bench.client.hset(bench.keys.job("a"), "ended", "1")
    await tombstone.retry("completed")
    await app.worker("default", Recorder()).run(burst=True)
    assert RAN == [0]
    await app.aclose()

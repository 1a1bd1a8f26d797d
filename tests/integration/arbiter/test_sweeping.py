"""The sweeper: what nobody has begun in time reaches the other engine, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bullq import QueueSpec
from bullq.queues.queue import JobQueue
from bullq.store.arbiter import Adding, Parcel, Pickup, Standing, Swept, live_workers
from bullq.worker.sweeper import Deliver, Delivery, Sweeper
from tests.integration.arbiter.conftest import TIMEOUT_MS, Bench
from tests.support.deadline import DEADLINE
from tests.support.workers import Recorder

LEASE_MS = 60_000


async def sweep(
    bench: Bench, *, holder: str = "me", alive: bool = False, grace_ms: int = 60_000, **terms: Any
) -> Swept:
    return await bench.arbiter.sweep(
        holder, lease_ms=LEASE_MS, alive=alive, grace_ms=grace_ms, **terms
    )


async def test_only_what_is_overdue_is_routed(bench: Bench) -> None:
    await bench.add("late", "begun", timeout_ms=0)
    await bench.add("fresh")
    await bench.client.rpoplpush(bench.keys.key("wait"), bench.keys.key("wait"))  # begun first
    assert [one.record.id for one in await bench.claim()] == ["begun"]
    swept = await sweep(bench)
    assert [parcel.id for parcel in swept.parcels] == ["late"]
    assert swept.fresh == {"late"}
    assert (swept.looked_at, swept.left, swept.unsent) == (1, 0, 1)
    # Its event is being sent by whoever swept: it is not given out again at once ...
    assert (await sweep(bench)).parcels == []
    # ... but later, until it is accepted.
    again = await sweep(bench, grace_ms=0)
    assert ([parcel.id for parcel in again.parcels], again.fresh) == (["late"], frozenset())
    await bench.arbiter.sent(["late"])
    assert (await sweep(bench, grace_ms=0)).unsent == 0


async def test_a_foreign_worker_s_start_is_seen_in_the_job_itself(bench: Bench) -> None:
    await bench.add("a", timeout_ms=0)
    # As official workers leave it: they know no index of pickups.
    await bench.client.hset(bench.keys.job("a"), mapping={"processedOn": 5, "ats": 1})
    await bench.client.rpoplpush(bench.keys.key("wait"), bench.keys.key("active"))
    assert (await sweep(bench)).parcels == []
    pickup = await bench.pickup("a")
    assert pickup is not None
    assert pickup < 0


async def test_live_workers_excuse_all_but_what_was_promised_to_start(bench: Bench) -> None:
    await bench.add("patient", timeout_ms=0)
    await bench.add("strict", timeout_ms=0, pickup=Pickup.STARTED)
    swept = await sweep(bench, alive=True)
    assert swept.fresh == {"strict"}
    pickup = await bench.pickup("patient")
    assert pickup is not None
    assert pickup > swept.server_ms


async def test_a_paused_queue_keeps_its_jobs(bench: Bench) -> None:
    await bench.client.hset(bench.keys.key("meta"), "paused", 1)
    await bench.add("a", timeout_ms=0, pickup=Pickup.STARTED)
    assert (await sweep(bench)).fresh == frozenset()
    await bench.client.hdel(bench.keys.key("meta"), "paused")
    pickup = await bench.pickup("a")
    assert pickup is not None
    assert pickup > await bench.server_ms()  # as much time again for workers that come back


async def test_a_job_that_was_put_off_meanwhile_has_time_from_its_new_date(bench: Bench) -> None:
    await bench.add("a", delay=60_000)
    due = int(await bench.client.zscore(bench.keys.key("delayed"), "a")) // 4096
    await bench.client.zadd(bench.keys.key("bullq:pickups"), {"a": 1})
    assert (await sweep(bench)).fresh == frozenset()
    assert await bench.pickup("a") == due + TIMEOUT_MS


async def test_one_sweeper_at_a_time(bench: Bench) -> None:
    await bench.add("a", timeout_ms=0)
    assert (await sweep(bench, holder="one")).is_ours
    await bench.add("b", timeout_ms=0)
    other = await sweep(bench, holder="two")
    assert (other.is_ours, other.parcels) == (False, [])
    assert await bench.client.pttl(bench.keys.key("bullq:sweeper")) > 0
    await bench.client.delete(bench.keys.key("bullq:sweeper"))
    assert (await sweep(bench, holder="two")).fresh == {"b"}


async def test_what_became_of_jobs_is_forgotten_in_time_and_overdue_ones_are_not(
    bench: Bench,
) -> None:
    await bench.add("begun")
    await bench.claim()
    await bench.settle("routed", name="job")
    await bench.add("waits", timeout_ms=0)
    await bench.client.hset(bench.keys.key("meta"), "paused", 1)
    await asyncio.sleep(0.002)  # so that it is in the past
    await sweep(bench, keep_ms=0)
    assert await bench.client.zrange(bench.keys.key("bullq:pickups"), 0, -1) == ["waits"]
    assert not await bench.client.exists(bench.keys.key("bullq:routed"))


async def test_a_record_that_nobody_can_read_does_not_stop_the_others(bench: Bench) -> None:
    await bench.add("broken", "fine", timeout_ms=0)
    await bench.client.set(bench.keys.job("broken"), "text")
    assert (await sweep(bench)).fresh == {"fine"}
    assert (await sweep(bench)).looked_at == 0


async def test_many_overdue_jobs_go_in_several_sweeps(bench: Bench) -> None:
    await bench.add(*(f"job-{number}" for number in range(25)), timeout_ms=0)
    first = await sweep(bench, limit=10)
    assert (len(first.parcels), first.left) == (10, 15)
    # Where nothing is accepted, none leaves the queue: those that wait fill the sweep.
    second = await sweep(bench, limit=10, grace_ms=0)
    assert (len(second.parcels), second.fresh) == (10, frozenset())


MakeSweeper = Callable[[Deliver], tuple[Sweeper, Recorder]]


@pytest.fixture
def make_sweeper(bench: Bench) -> MakeSweeper:
    def make(deliver: Deliver) -> tuple[Sweeper, Recorder]:
        queue = JobQueue(QueueSpec(name="default"), bench.store, bench.keys.prefix)
        recorder = Recorder()
        return Sweeper(queue, deliver, recorder, every=0.01), recorder

    return make


async def test_the_sweeper_sends_what_nobody_begins_once(
    bench: Bench, make_sweeper: MakeSweeper
) -> None:
    sent: list[tuple[str, str]] = []
    told = asyncio.Event()

    async def deliver(queue: str, parcel: Parcel, now_ms: int) -> Delivery:
        assert abs(now_ms - parcel.due_ms) < 60_000
        sent.append((queue, parcel.id))
        told.set()
        return Delivery.ACCEPTED

    sweeper, recorder = make_sweeper(deliver)
    await bench.add("a", timeout_ms=0)
    running = asyncio.create_task(sweeper.run())
    async with asyncio.timeout(DEADLINE):
        await told.wait()
        # Redis tells nobody when a key has gone.
        while await bench.client.zcard(bench.keys.key("bullq:rerouted")):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    assert sent == [("default", "a")]
    assert [one.arguments for one in recorder.all("jobs_rerouted")] == [("default", ["a"])]
    assert not await bench.client.exists(bench.keys.key("bullq:parcels"))
    assert await bench.add("a") == [Adding.ROUTED]
    running.cancel()


@pytest.mark.parametrize("outcome", [Delivery.REFUSED, Delivery.UNKNOWN, OSError("no net")])
async def test_an_event_that_is_not_accepted_stays_and_nothing_else_leaves_the_queue(
    bench: Bench, make_sweeper: MakeSweeper, outcome: Delivery | OSError
) -> None:
    async def deliver(_queue: str, _parcel: Parcel, _now_ms: int) -> Delivery:
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    sweeper, recorder = make_sweeper(deliver)
    await bench.add("a", timeout_ms=0)
    assert not await sweeper.sweep()
    # The event's grace is over.
    await bench.client.zadd(bench.keys.key("bullq:rerouted"), {"a": 1})
    await bench.add("b", timeout_ms=0)
    assert not await sweeper.sweep()
    [looked] = (await bench.arbiter.look(["b"])).standings
    assert looked is Standing.WAITING
    assert await bench.client.hkeys(bench.keys.key("bullq:parcels")) == ["a"]
    assert recorder.counts["trouble"] == (2 if isinstance(outcome, OSError) else 0)


async def test_workers_that_are_connected_but_claim_nothing_excuse_nothing(
    bench: Bench, make_sweeper: MakeSweeper
) -> None:
    async def deliver(_queue: str, _parcel: Parcel, _now_ms: int) -> Delivery:
        return Delivery.ACCEPTED

    sweeper, recorder = make_sweeper(deliver)
    worker = await bench.store.open_blocking(bench.keys.worker_client_name("w1"))
    try:
        assert await live_workers(bench.store, bench.keys) == 1
        await bench.add("a", "b", timeout_ms=0)
        await bench.claim()
        await sweeper.sweep()
        assert recorder.counts["jobs_rerouted"] == 0  # it has claimed a job just now
        # Long ago, with its lock gone, it would hang.
        await bench.client.delete(f"{bench.keys.job('a')}:lock")
        await bench.client.hset(bench.keys.job("a"), "processedOn", 1)
        await bench.client.zadd(bench.keys.key("bullq:pickups"), {"b": 1})
        await sweeper.sweep()
        assert [one.arguments[1] for one in recorder.all("jobs_rerouted")] == [["b"]]
    finally:
        await worker.aclose(close_connection_pool=True)


async def test_the_oldest_jobs_of_a_long_queue_are_found_where_they_are(bench: Bench) -> None:
    await bench.add(*(f"old-{number}" for number in range(100)), timeout_ms=0)
    fresh = [f"fresh-{number}" for number in range(100_000)]
    for start in range(0, len(fresh), 10_000):
        await bench.client.lpush(bench.keys.key("wait"), *fresh[start : start + 10_000])
    await bench.client.config_resetstat()
    async with bench.client.pipeline(transaction=False) as wrong:
        for number in range(100):
            wrong.lpos(bench.keys.key("wait"), f"old-{number}")
        await wrong.execute()
    from_the_wrong_end = await looking_us(bench)
    await bench.client.config_resetstat()
    assert len((await sweep(bench)).fresh) == 100
    assert await looking_us(bench) < from_the_wrong_end / 3


async def looking_us(bench: Bench) -> int:
    """Give the time in microseconds that the server has looked for elements of lists."""
    stats = await bench.client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("usec", 0) for name in ("lrem", "lpos"))


async def test_whether_workers_live_is_asked_only_by_who_sweeps_and_if_it_matters(
    bench: Bench,
) -> None:
    asked = 0

    async def is_alive() -> bool:
        nonlocal asked
        asked += 1
        return True

    async def deliver(_queue: str, _parcel: Parcel, _now_ms: int) -> Delivery:
        return Delivery.ACCEPTED

    queue = JobQueue(QueueSpec(name="default"), bench.store, bench.keys.prefix)
    first, second = (
        Sweeper(queue, deliver, Recorder(), is_alive=is_alive, every=10) for _ in range(2)
    )
    await bench.add("fresh")
    await first.sweep()
    assert asked == 0
    await bench.add("overdue", timeout_ms=0)
    await second.sweep()
    assert asked == 0
    await first.sweep()
    assert asked == 1

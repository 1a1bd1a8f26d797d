"""Adding with confirmation: the same id again, whatever happened in between, adds no second job."""

from __future__ import annotations

import pytest

from bullq.store.adding import AddScript, JobKind, NewJob
from bullq.store.arbiter import Adding, Arbiter, Confirmation, Pickup
from tests.integration.arbiter.conftest import TIMEOUT_MS, Bench

ADDED, AGAIN, ROUTED, TAKEN = Adding.ADDED, Adding.AGAIN, Adding.ROUTED, Adding.TAKEN


async def test_a_job_is_on_the_queue_and_in_the_index_with_whom_to_tell(bench: Bench) -> None:
    before = await bench.server_ms()
    assert await bench.add("a", "b", pickup=Pickup.STARTED) == [ADDED, ADDED]
    assert await bench.client.lrange(bench.keys.key("wait"), 0, -1) == ["b", "a"]
    record = await bench.record("a")
    ours = {name: value for name, value in record.items() if name.startswith("bullq:")}
    assert ours == {
        "bullq:dispatcher": "me",
        "bullq:timeout": str(TIMEOUT_MS),
        "bullq:pickup": "started",
    }
    overdue = await bench.pickup("a")
    assert overdue is not None
    assert before + TIMEOUT_MS <= overdue <= await bench.server_ms() + TIMEOUT_MS


async def test_but_for_our_own_fields_it_is_the_job_that_is_added_without_confirmation(
    bench: Bench,
) -> None:
    await bench.add("a", priority=3, attempts=2)
    plain = AddScript(bench.store.pipelined(), bench.keys)
    await plain.add_jobs([NewJob(JobKind("job", {"priority": 3, "attempts": 2}), "b", '{"n":1}')])
    with_it, without = await bench.record("a"), await bench.record("b")
    for fields in (with_it, without):
        del fields["timestamp"], fields["opts"]
    assert {n: v for n, v in with_it.items() if not n.startswith("bullq:")} == without


@pytest.mark.parametrize("options", [{}, {"priority": 2}, {"delay": 60_000}, {"lifo": True}])
async def test_an_id_again_is_the_same_job(bench: Bench, options: dict[str, int]) -> None:
    assert await bench.add("a", **options) == [ADDED]
    assert await bench.add("a", "b", "b", **options) == [AGAIN, ADDED, AGAIN]
    lists = ("wait", "prioritized", "delayed")
    kinds = [await bench.client.type(bench.keys.key(name)) for name in lists]
    count = {"none": lambda _: 0, "list": bench.client.llen, "zset": bench.client.zcard}
    held = 0
    for name, kind in zip(lists, kinds, strict=True):
        held += await count[kind](bench.keys.key(name)) if kind != "none" else 0
    assert held == 2


async def test_an_id_again_is_no_new_job_when_the_first_has_ended_and_is_gone(
    bench: Bench,
) -> None:
    await bench.add("a")
    assert len(await bench.claim()) == 1
    await bench.client.delete(bench.keys.job("a"), bench.keys.key("active"))
    assert await bench.add("a") == [AGAIN]
    assert await bench.claim() == []


async def test_an_id_that_was_routed_is_no_job_any_more(bench: Bench) -> None:
    await bench.settle("late", name="job")
    assert await bench.add("late", "b") == [ROUTED, ADDED]
    # Nor when its tombstone was trimmed with other finished jobs.
    await bench.client.delete(bench.keys.job("late"))
    assert await bench.add("late") == [ROUTED]
    assert [claimed.record.id for claimed in await bench.claim(3)] == ["b"]


async def test_another_dispatcher_s_id_is_taken(bench: Bench) -> None:
    await bench.add("a")
    assert await bench.add("a", dispatcher="other") == [TAKEN]
    assert (await bench.record("a"))["bullq:dispatcher"] == "me"


async def test_who_adds_nothing_learns_the_epoch(bench: Bench) -> None:
    learnt = await bench.arbiter.add_confirmed([], Confirmation("me", 0))
    assert learnt.added == []
    assert await bench.left() == {"bullq:epoch"}
    assert (await bench.arbiter.add_confirmed([], Confirmation("me", 0))).epoch == learnt.epoch


async def test_a_duplicate_is_told_with_the_job_it_stands_for(bench: Bench) -> None:
    kind = JobKind("job", {"deduplication": {"id": "once"}})
    confirmation = Confirmation("me", TIMEOUT_MS)
    added = await bench.arbiter.add_confirmed(
        [NewJob(kind, "a", "{}"), NewJob(kind, "b", "{}")], confirmation
    )
    assert added.added == [(ADDED, "a"), (TAKEN, "a")]
    assert await bench.pickup("b") is None
    assert await bench.record("b") == {}


async def test_a_refused_job_leaves_nothing(bench: Bench) -> None:
    kind = JobKind("job", {"parent": {"id": "none", "queue": bench.keys.base.rstrip(":")}})
    added = await bench.arbiter.add_confirmed(
        [NewJob(kind, "a", "{}")], Confirmation("me", TIMEOUT_MS)
    )
    assert added.added == [(Adding.REFUSED, -5)]
    assert await bench.pickup("a") is None


async def test_a_call_that_fails_leaves_no_pickup(bench: Bench) -> None:
    await bench.client.hset(bench.keys.key("id"), "no", "number")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await bench.add("a")
    assert await bench.pickup("a") is None


async def test_a_delayed_job_has_time_from_when_it_is_due(bench: Bench) -> None:
    before = await bench.server_ms()
    await bench.add("a", delay=60_000)
    overdue = await bench.pickup("a")
    assert overdue is not None
    # The job's own time is this machine's, in whole milliseconds.
    assert abs(overdue - (before + 60_000 + TIMEOUT_MS)) < 30_000


async def test_nothing_is_added_where_data_was_lost(bench: Bench) -> None:
    await bench.add("a")
    known = bench.epoch
    for key in await bench.left():
        await bench.client.delete(bench.keys.key(key))
    kind, confirmation = JobKind("job", {}), Confirmation("me", TIMEOUT_MS)
    lost = await bench.arbiter.add_confirmed([NewJob(kind, "b", "{}")], confirmation, epoch=known)
    assert lost.added is None
    assert lost.epoch != known
    assert await bench.left() == {"bullq:epoch"}
    # Whoever knows the new epoch adds.
    bench.epoch = lost.epoch
    assert await bench.add("b") == [ADDED]


async def test_what_is_seen_is_remembered_no_more(bench: Bench) -> None:
    await bench.add("a", "b")
    await bench.add("c", seen=("a",))
    assert await bench.pickup("a") is None
    assert await bench.pickup("b") is not None


async def test_what_is_too_old_to_be_asked_for_is_forgotten_now_and_then(bench: Bench) -> None:
    await bench.add("a")
    old = await bench.server_ms() - 49 * 3_600_000
    pickups, routed = bench.keys.key("bullq:pickups"), bench.keys.key("bullq:routed")
    await bench.client.zadd(pickups, {"overdue": old, "begun": -old, "late": 1 - old})
    await bench.client.zadd(routed, {"late": old})
    await bench.add("b")
    assert await bench.client.zcard(pickups) == 5  # not at every call
    bench.arbiter = Arbiter(bench.store.pipelined(), bench.keys)
    await bench.add("c")
    assert set(await bench.client.zrange(pickups, 0, -1)) == {"a", "b", "c"}
    assert not await bench.client.exists(routed)

"""Settling: what was never begun goes to Inngest, all else stays, and the first word stands."""

from __future__ import annotations

import json
from typing import Any

import bullmq
import pytest

from bullq.protocol.events import ROUTED_VALUE
from bullq.protocol.terms import FinishTerms
from bullq.store.adding import AddScript, JobKind, NewJob
from bullq.store.arbiter import Parcel, Settled, Standing, Unsettled, Verdict
from bullq.store.scripts import Claim, Finish, Retry, WorkerScripts
from tests.integration.arbiter.conftest import Bench

ROUTED, PICKED, GONE = Verdict.ROUTED, Verdict.PICKED, Verdict.GONE


async def standing(bench: Bench, job_id: str) -> Standing:
    return (await bench.arbiter.look([job_id])).standings[0]


@pytest.mark.parametrize(
    ("options", "kind", "stands"),
    [
        ({}, "wait", Standing.WAITING),
        ({"lifo": True}, "wait", Standing.WAITING),
        ({"priority": 2}, "prioritized", Standing.WAITING),
        ({"delay": 60_000}, "delayed", Standing.DELAYED),
    ],
)
async def test_a_job_that_waits_is_routed_and_leaves_a_tombstone(
    bench: Bench, options: dict[str, int], kind: str, stands: Standing
) -> None:
    await bench.add("a", "b", "c", **options)
    assert await standing(bench, "b") is stands
    settled = await bench.settle("b")
    assert settled.verdict is ROUTED
    assert settled.fresh
    assert await standing(bench, "b") is Standing.ROUTED
    record = await bench.record("b")
    assert (record["name"], record["data"], record["returnvalue"]) == (
        "job",
        '{"n":1}',
        ROUTED_VALUE,
    )
    assert json.loads(record["opts"])["jobId"] == "b"
    assert await bench.client.zscore(bench.keys.key("completed"), "b") == int(record["finishedOn"])
    assert (await bench.events())[-1] == ("completed", "b")
    assert ("removed", "b") not in await bench.events()
    kept = bench.keys.key(kind)
    held = await (bench.client.lrange if kind == "wait" else bench.client.zrange)(kept, 0, -1)
    assert set(held) == {"a", "c"}


async def test_what_is_asked_again_is_answered_alike(bench: Bench) -> None:
    await bench.add("a")
    first, second = await bench.settle("a"), await bench.settle("a")
    assert (first.fresh, second.fresh) == (True, False)
    assert first.parcel == second.parcel
    assert await bench.arbiter.sent(["a"]) == 1
    assert await bench.arbiter.sent(["a"]) == 0
    assert await bench.settle("a") == Settled(ROUTED)
    # Also when the record and the list of finished jobs were trimmed.
    await bench.client.delete(bench.keys.job("a"), bench.keys.key("completed"))
    assert await bench.settle("a") == Settled(ROUTED)
    assert [event for event, _ in await bench.events()].count("completed") == 1


async def test_a_parcel_has_what_the_event_needs_also_when_its_record_was_trimmed(
    bench: Bench,
) -> None:
    await bench.add("a", delay=60_000)
    due = int(await bench.client.zscore(bench.keys.key("delayed"), "a")) // 4096
    await bench.settle("a")
    await bench.client.delete(bench.keys.job("a"))
    parcel = (await bench.settle("a")).parcel
    assert parcel is not None
    assert (parcel.id, parcel.name, parcel.data, parcel.due_ms) == ("a", "job", '{"n":1}', due)
    assert json.loads(parcel.options) == {"delay": 60_000, "jobId": "a"}


async def test_a_job_that_never_came_is_routed_and_its_tombstone_is_readable(bench: Bench) -> None:
    job = NewJob(JobKind("mail", {"attempts": 3}), "a", '{"to":"x"}')
    settling = await bench.arbiter.settle([Unsettled.of(job, 123)])
    parcel = settling.settled[0].parcel
    options = json.dumps({"attempts": 3, "jobId": "a"})
    assert parcel == Parcel("a", "mail", '{"to":"x"}', options, 123, settling.server_ms)
    record = await bench.record("a")
    assert (record["name"], record["data"], record["opts"]) == ("mail", '{"to":"x"}', options)


@pytest.mark.parametrize("way", ["plain", "official"])
async def test_a_job_that_was_begun_is_picked_whatever_came_of_it(bench: Bench, way: str) -> None:
    await bench.add("active-one", "retried-one", "done-one", "removed-one")
    claimed = {one.record.id: one.token for one in await bench.claim(4, plain=way == "plain")}
    terms = Claim(lock_duration_ms=30_000, worker="w")
    scripts = WorkerScripts(bench.store.pipelined(), bench.keys, terms)
    keep, drop = (FinishTerms({"count": count}, 1, {}) for count in (-1, 0))

    def ended(job_id: str, terms: FinishTerms) -> Finish:
        return Finish(job_id, claimed[job_id], {}, completed=True, value="1", terms=terms)

    answered = await scripts.exchange(
        [
            Retry("retried-one", claimed["retried-one"], {}),
            Finish("done-one", claimed["done-one"], {}, completed=True, value="1", terms=keep),
            Finish(
                "removed-one", claimed["removed-one"], {}, completed=True, value="1", terms=drop
            ),
        ],
        [],
    )
    assert answered.answers == [0, 0, 0]
    assert await bench.record("removed-one") == {}
    for job_id in ("active-one", "retried-one", "done-one"):
        assert (await bench.settle(job_id)).verdict is PICKED
    for known in (False, True):
        assert (await bench.settle("removed-one", known=known)).verdict is GONE


async def test_a_lost_lock_or_a_job_retried_by_hand_changes_nothing(bench: Bench) -> None:
    await bench.add("a")
    await bench.claim()
    await bench.client.delete(f"{bench.keys.job('a')}:lock")
    assert (await bench.settle("a")).verdict is PICKED
    # As BullMQ's retry with resetAttemptsStarted does: nothing in the record tells of the start.
    await bench.client.hdel(bench.keys.job("a"), "processedOn", "ats")
    await bench.client.lrem(bench.keys.key("active"), 1, "a")
    await bench.client.rpush(bench.keys.key("wait"), "a")
    assert (await bench.settle("a")).verdict is PICKED


@pytest.mark.parametrize("field", ["ats", "processedOn", "finishedOn"])
async def test_each_trace_that_a_worker_leaves_is_evidence(bench: Bench, field: str) -> None:
    await bench.add("a")
    await bench.client.hset(bench.keys.job("a"), field, 1)
    assert (await bench.settle("a")).verdict is PICKED


async def test_a_lock_is_evidence(bench: Bench) -> None:
    await bench.add("a")
    await bench.client.set(f"{bench.keys.job('a')}:lock", "token")
    assert (await bench.settle("a")).verdict is PICKED
    assert await bench.client.lrange(bench.keys.key("wait"), 0, -1) == ["a"]


async def test_what_was_seen_picked_once_is_never_taken_for_a_job_that_did_not_come(
    bench: Bench,
) -> None:
    adds = AddScript(bench.store.pipelined(), bench.keys)
    await adds.add_jobs([NewJob(JobKind("job", {}), "a", "{}")])
    await bench.claim()
    assert (await bench.settle("a")).verdict is PICKED
    await bench.client.delete(bench.keys.job("a"), bench.keys.key("active"))
    assert (await bench.settle("a")).verdict is GONE


async def test_a_job_that_a_foreign_worker_removed_is_gone(bench: Bench) -> None:
    await bench.add("a")
    await bench.client.delete(bench.keys.job("a"), bench.keys.key("wait"))
    assert (await bench.settle("a")).verdict is GONE
    assert (await bench.settle("a")).verdict is GONE
    assert await bench.record("a") == {}


@pytest.mark.parametrize("kind", ["wait", "paused", "prioritized", "delayed"])
async def test_an_id_whose_record_was_evicted_leaves_the_queue_with_it(
    bench: Bench, kind: str
) -> None:
    key = bench.keys.key(kind)
    is_list = kind in {"wait", "paused"}
    await (bench.client.rpush(key, "a") if is_list else bench.client.zadd(key, {"a": 1}))
    assert (await bench.settle("a", name="job")).verdict is ROUTED
    assert not await bench.client.exists(key)
    assert await bench.claim() == []


async def test_an_id_that_a_worker_has_without_a_record_is_picked(bench: Bench) -> None:
    await bench.client.rpush(bench.keys.key("active"), "a")
    for _ in range(2):
        assert (await bench.settle("a", name="job")).verdict in {PICKED, GONE}
    assert await bench.record("a") == {}


async def test_what_the_queue_lost_is_told_and_not_guessed(bench: Bench) -> None:
    await bench.add("a")
    known = bench.epoch
    for key in await bench.left():
        await bench.client.delete(bench.keys.key(key))
    for was_known in (False, True):
        settling = await bench.arbiter.settle([Unsettled(id="a", known=was_known)], epoch=known)
        assert settling.settled == [Settled(Verdict.LOST)]
    assert await bench.left() == set()
    # Who decides to run it all the same says so by naming no epoch.
    assert (await bench.settle("a", name="job")).verdict is ROUTED


async def test_jobs_in_version_5_s_list_of_paused_ones_are_found(bench: Bench) -> None:
    await bench.add("a")
    await bench.client.rename(bench.keys.key("wait"), bench.keys.key("paused"))
    assert await standing(bench, "a") is Standing.WAITING
    assert (await bench.settle("a")).verdict is ROUTED
    assert not await bench.client.exists(bench.keys.key("paused"))


async def test_a_record_in_no_list_is_told_as_such(bench: Bench) -> None:
    await bench.add("a")
    await bench.client.delete(bench.keys.key("wait"))
    assert (await bench.settle("a")).verdict is Verdict.NOWHERE


async def test_a_record_that_nobody_can_read_is_its_own_job_s_error(bench: Bench) -> None:
    await bench.client.set(bench.keys.job("a"), "text")
    await bench.add("b")
    settling = await bench.arbiter.settle([Unsettled(id="a"), Unsettled(id="b")])
    broken, fine = settling.settled
    assert broken.verdict is Verdict.ERROR
    assert "WRONGTYPE" in broken.error
    assert fine.verdict is ROUTED


async def flow(bench: Bench) -> Any:
    """Add a parent with one child, by the official client."""
    producer = bullmq.FlowProducer(bench.client, {"prefix": bench.keys.prefix})
    child = {"name": "child", "queueName": "default", "data": {}, "opts": {"jobId": "child"}}
    await producer.add(
        {"name": "parent", "queueName": "default", "opts": {"jobId": "parent"}, "children": [child]}
    )


async def test_a_routed_child_frees_its_parent_and_a_parent_stays(bench: Bench) -> None:
    await flow(bench)
    assert (await bench.settle("parent")).verdict is Verdict.PARENT
    assert (await bench.settle("child")).verdict is ROUTED
    assert await bench.client.lrange(bench.keys.key("wait"), 0, -1) == ["parent"]
    assert "parentKey" not in await bench.record("child")
    assert ("waiting", "parent") in await bench.events()


async def test_a_parent_whose_child_has_ended_stays(bench: Bench) -> None:
    await flow(bench)
    await bench.client.sadd(f"{bench.keys.job('parent')}:dependencies", "another")
    await bench.client.zrem(bench.keys.key("waiting-children"), "parent")
    await bench.client.rpush(bench.keys.key("wait"), "parent")
    assert (await bench.settle("parent")).verdict is Verdict.PARENT
    assert "parent" in await bench.client.lrange(bench.keys.key("wait"), 0, -1)


async def test_a_schedule_s_job_stays(bench: Bench) -> None:
    await bench.add("a")
    await bench.client.hset(bench.keys.job("a"), "rjk", "every-minute")
    assert (await bench.settle("a")).verdict is Verdict.SCHEDULE
    assert await bench.client.lrange(bench.keys.key("wait"), 0, -1) == ["a"]


async def test_a_routed_job_frees_its_deduplication_key_and_what_else_it_has(bench: Bench) -> None:
    plain = AddScript(bench.store.pipelined(), bench.keys)
    kind = JobKind("job", {"deduplication": {"id": "once"}})
    await plain.add_jobs([NewJob(kind, "a", "{}")])
    await bench.client.rpush(f"{bench.keys.job('a')}:logs", "row")
    await bench.settle("a")
    left = await bench.left()
    assert not {"de:once", "a:logs"} & left
    await plain.add_jobs([NewJob(kind, "b", "{}")])
    assert await bench.client.lrange(bench.keys.key("wait"), 0, -1) == ["b"]


async def test_a_server_that_refuses_writes_refuses_the_call(bench: Bench) -> None:
    # Not for one job: the caller has to know that nothing was decided.
    with bench.store.thread_client() as admin:
        admin.config_set("min-replicas-to-write", 1)
        try:
            with pytest.raises(Exception, match="NOREPLICAS"):
                await bench.arbiter.settle([Unsettled(id="a")])
        finally:
            admin.config_set("min-replicas-to-write", 0)

"""`from bullq import Worker` in place of the official one: the same jobs, and no surprises."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import bullmq
import pytest
import redis.asyncio

from tests.support.deadline import DEADLINE
from tests.support.dropin import Bench, idle
from tests.support.pace import soonest
from tests.support.servers import RedisServer


async def test_the_processor_is_given_what_the_official_worker_gives(bench: Bench) -> None:
    given: list[Any] = []

    async def process(job: bullmq.Job, token: str) -> dict[str, int]:
        given.append((job, token, await job.isActive(), await job.getState()))
        await job.updateProgress({"done": 5})
        await job.log("a row")
        await job.updateData({"n": 2})
        return {"sum": 3}

    worker, events = bench.worker(process)
    added = await bench.add({"n": 1}, attempts=2, priority=3)
    [(completed, result)] = await events.wait_for("completed")

    [(job, token, was_active, state)] = given
    assert isinstance(worker, bullmq.Worker)
    assert isinstance(job, bullmq.Job)
    assert (was_active, state, token == job.token) == (True, "active", True)
    assert (job.id, job.name, job.data) == (added.id, "job", {"n": 2})
    assert (job.opts["attempts"], job.priority, job.attemptsStarted) == (2, 3, 1)
    assert job.queueQualifiedName == bench.base.rstrip(":")
    assert completed is job
    assert result == job.returnvalue == {"sum": 3}
    assert job.attemptsMade == 1
    stored = await bench.stored(added)
    assert (stored["returnvalue"], stored["data"]) == ('{"sum":3}', '{"n":2}')
    assert events.all("progress") == [(job, {"done": 5})]
    assert await bench.client.lrange(f"{bench.base}{added.id}:logs", 0, -1) == ["a row"]


async def test_data_is_read_as_node_writes_it(bench: Bench) -> None:
    """JavaScript cuts characters in half, nests deeply, and writes both."""

    async def process(job: bullmq.Job, _token: str) -> Any:
        return job.data

    _, events = bench.worker(process)
    data = {"cut": "\ud83d", "deep": json.loads("[" * 300 + "]" * 300)}
    await bench.add(data)
    [(job, result)] = await events.wait_for("completed")
    assert result == data
    assert json.loads((await bench.stored(job))["returnvalue"]) == data


async def test_a_job_is_read_lazily_and_knows_no_more_than_the_official_one(bench: Bench) -> None:
    given: list[Any] = []

    async def process(job: bullmq.Job, _token: str) -> None:
        given.append((job, set(vars(job))))
        job.name = "renamed"
        job.opts["seen"] = True

    _, events = bench.worker(process)
    added = await bench.add({"n": 1})
    await events.wait_for("completed")
    [(job, at_first)] = given
    assert "opts" not in at_first
    official = await bullmq.Job.fromId(bench.queue, added.id)
    assert set(vars(official)) <= set(vars(job))
    assert (job.name, job.opts["seen"], job.data) == ("renamed", True, {"n": 1})
    with pytest.raises(AttributeError, match="'ClaimedJob' object has no attribute 'nonsense'"):
        _ = job.nonsense


@pytest.mark.parametrize("kind", ["url", "options", "client"])
async def test_any_connection_of_the_official_client_will_do(
    valkey: RedisServer, bench: Bench, kind: str
) -> None:
    client = redis.asyncio.Redis(port=valkey.port)  # one that does not decode what it reads
    connections = {
        "url": valkey.url,
        "options": {"host": "127.0.0.1", "port": valkey.port, "socket_timeout": 1},
        "client": client,
    }
    names: list[Any] = []

    async def process(job: bullmq.Job, _token: str) -> None:
        names.append((job.name, job.data))

    worker, events = bench.worker(process, connection=connections[kind])
    await bench.add({"n": 1})
    await events.wait_for("completed")
    await worker.close()
    assert names == [("job", {"n": 1})]
    assert await client.ping()  # a client of the user's own stays open
    await client.aclose()


async def test_listeners_come_once_and_go(bench: Bench) -> None:
    heard: list[str] = []
    worker, events = bench.worker(idle)
    once = worker.once("completed", lambda *_: heard.append("once"))
    always = worker.on("completed", lambda *_: heard.append("always"))
    never = worker.once("completed", lambda *_: heard.append("never"))
    worker.off("completed", never)
    for number in (1, 2):
        await bench.add()
        await events.wait_for("completed", number)
    assert heard == ["once", "always", "always"]
    worker.off("completed", always)
    with pytest.raises(ValueError, match="does not listen to 'completed'"):
        worker.off("completed", once)


async def test_failures_are_told_and_retried_as_the_options_say(bench: Bench) -> None:
    async def process(job: bullmq.Job, _token: str) -> str:
        if job.attemptsMade < 2:
            raise ValueError(f"try {job.attemptsMade + 1}")
        return "done"

    _, events = bench.worker(process)
    job = await bench.add(attempts=3, backoff={"type": "fixed", "delay": 20})
    await events.wait_for("completed")
    failed = events.all("failed")
    assert [str(error) for _, error in failed] == ["try 1", "try 2"]
    assert [(one.attemptsMade, one.failedReason) for one, _ in failed] == [
        (1, "try 1"),
        (2, "try 2"),
    ]
    assert "ValueError: try 2" in failed[1][0].stacktrace[1]
    assert (await bench.stored(job))["atm"] == "3"


async def test_an_unrecoverable_error_and_a_discarded_job_are_not_retried(bench: Bench) -> None:
    async def process(job: bullmq.Job, _token: str) -> None:
        if job.data["discards"]:
            job.discarded = True
            raise ValueError("discarded")
        raise bullmq.UnrecoverableError("no use")

    _, events = bench.worker(process, concurrency=2)
    jobs = [await bench.add({"discards": discards}, attempts=5) for discards in (True, False)]
    await events.wait_for("failed", 2)
    assert [(await bench.stored(job))["failedReason"] for job in jobs] == ["discarded", "no use"]
    assert [await job.isFailed() for job in jobs] == [True, True]
    assert [(await bench.stored(job))["ats"] for job in jobs] == ["1", "1"]


async def test_a_processor_can_delay_its_job(bench: Bench) -> None:
    async def process(job: bullmq.Job, token: str) -> str:
        if not job.data.get("delayed"):
            await job.updateData({"delayed": True})
            await job.moveToDelayed(round(time.time() * 1000) + 100, token)
            raise bullmq.DelayedError
        return "later"

    _, events = bench.worker(process)
    job = await bench.add()
    await events.wait_for("completed")
    stored = await bench.stored(job)
    assert (stored["returnvalue"], stored["atm"], stored["ats"]) == ('"later"', "1", "2")
    assert events.all("failed") == events.all("error") == []


async def test_a_job_that_its_processor_has_moved_is_not_taken_for_a_lost_one(
    bench: Bench,
) -> None:
    renewed = asyncio.Event()
    tidied: list[str] = []

    async def process(job: bullmq.Job, token: str) -> None:
        if job.name == "other":
            await renewed.wait()
            return
        await job.moveToDelayed(round(time.time() * 1000) + 60_000, token)
        await renewed.wait()  # such as cleaning up after itself
        tidied.append(job.id)
        raise bullmq.DelayedError

    worker, events = bench.worker(process, concurrency=2, lockRenewTime=50)
    job = await bench.add()
    await events.wait_for("active")
    await bench.queue.add("other", {})
    await events.wait_for("locksRenewed", 3)
    renewed.set()
    await events.wait_for("completed")
    await worker.close()
    assert tidied == [job.id]
    assert await job.isDelayed()
    assert events.all("error") == events.all("failed") == []


async def test_a_processor_can_wait_for_children(bench: Bench) -> None:
    async def process(job: bullmq.Job, token: str) -> Any:
        if job.name == "child":
            return 7
        if not job.data.get("asked"):
            parent = {"id": job.id, "queue": job.queueQualifiedName}
            await bench.queue.add("child", {}, {"parent": parent})
            await job.updateData({"asked": True})
            if await job.moveToWaitingChildren(token, {}):
                raise bullmq.WaitingChildrenError
        return list((await job.getChildrenValues()).values())

    _, events = bench.worker(process)
    job = await bench.add()
    await events.wait_for("completed", 2)
    assert (await bench.stored(job))["returnvalue"] == "[7]"
    assert events.all("failed") == []


async def test_a_child_s_failure_that_fails_its_parent_is_unrecoverable(bench: Bench) -> None:
    async def process(job: bullmq.Job, _token: str) -> None:
        assert job.name == "child", "a parent that has to fail is not run"
        raise ValueError("no")

    _, events = bench.worker(process)
    flows = bullmq.FlowProducer(bench.options)
    child = {"name": "child", "queueName": "q", "opts": {"failParentOnFailure": True}}
    await flows.add({"name": "parent", "queueName": "q", "children": [child]})
    [(failed, error), (parent, told)] = await events.wait_for("failed", 2)
    assert (failed.name, str(error), parent.name) == ("child", "no", "parent")
    assert isinstance(told, bullmq.UnrecoverableError)
    assert parent.failedReason == str(told)
    await flows.close()


async def test_the_worker_s_own_backoff_strategy_is_asked(bench: Bench) -> None:
    asked: list[Any] = []

    def strategy(made: int, kind: str, error: Exception, job: bullmq.Job) -> int:
        asked.append((made, kind, str(error), job.name))
        if kind == "broken":
            raise LookupError("no such wait")
        return -1 if made == 2 else 10

    async def process(_job: bullmq.Job, _token: str) -> None:
        raise ValueError("no")

    _, events = bench.worker(process, settings={"backoffStrategy": strategy})
    given_up = await bench.add(attempts=9, backoff={"type": "own"})
    await events.wait_for("failed", 2)
    broken = await bench.add(attempts=9, backoff={"type": "broken"})
    await events.wait_for("failed", 3)
    await bench.add(attempts=1, backoff={"type": "own"})
    await events.wait_for("failed", 4)
    assert asked == [(1, "own", "no", "job"), (2, "own", "no", "job"), (1, "broken", "no", "job")]
    assert await given_up.isFailed()
    assert await broken.isFailed()
    assert (
        "its backoff strategy failed" in json.loads((await bench.stored(broken))["stacktrace"])[0]
    )
    assert [str(error) for error, _ in events.all("error")] == ["no such wait"]


async def test_finished_jobs_are_kept_as_the_worker_says_unless_they_say_themselves(
    bench: Bench,
) -> None:
    async def process(job: bullmq.Job, _token: str) -> None:
        if job.data.get("fails"):
            raise ValueError("no")

    _, events = bench.worker(
        process, removeOnComplete=True, removeOnFail={"count": 1}, metrics={"maxDataPoints": 5}
    )
    removed, kept = await bench.add(), await bench.add(removeOnComplete=False)
    failures = [await bench.add({"fails": True}) for _ in range(3)]
    await events.wait_for("completed", 2)
    await events.wait_for("failed", 3)
    assert await bench.stored(removed) == {}
    assert await kept.isCompleted()
    assert [await job.isFailed() for job in failures] == [False, False, True]
    assert await bench.client.hget(f"{bench.base}metrics:completed", "count") == "2"
    assert await bench.client.hget(f"{bench.base}metrics:failed", "count") == "3"


async def test_a_signal_aborts_the_jobs_that_heed_it(bench: Bench) -> None:
    started: asyncio.Queue[str] = asyncio.Queue()

    async def process(job: bullmq.Job, _token: str, signal: bullmq.AbortSignal) -> None:
        started.put_nowait(job.id)
        await signal.wait()
        signal.throw_if_aborted()

    worker, events = bench.worker(process, concurrency=3)
    for _ in range(3):
        await bench.add()
    async with asyncio.timeout(DEADLINE):
        ids = [await started.get() for _ in range(3)]
    assert sorted(worker.lockManager.get_tracked_job_ids()) == sorted(ids)
    assert worker.cancelJob(ids[0], "just you")
    assert not worker.cancelJob("nobody")
    [(job, error)] = await events.wait_for("failed")
    assert (job.id, str(error)) == (ids[0], "just you")
    worker.cancelAllJobs("all of you")
    failed = await events.wait_for("failed", 3)
    assert [str(error) for _, error in failed[1:]] == ["all of you"] * 2
    assert isinstance(error, bullmq.AbortError)
    assert worker.lockManager.get_active_job_count() == 0


async def test_a_schedule_goes_on(bench: Bench) -> None:
    _, events = bench.worker(idle)
    await bench.queue.upsertJobScheduler("tick", {"every": 150}, "ticks", {"n": 1})
    completed = await events.wait_for("completed", 3)
    assert [(job.name, job.data) for job, _ in completed] == [("ticks", {"n": 1})] * 3
    await bench.queue.removeJobScheduler("tick")


async def test_locks_outlive_their_duration_and_that_is_told(bench: Bench) -> None:
    gate = asyncio.Event()

    async def process(_job: bullmq.Job, _token: str) -> None:
        await gate.wait()

    _, events = bench.worker(process, lockDuration=1500, lockRenewTime=250)
    job = await bench.add()
    renewals = await events.wait_for("locksRenewed", 7)
    assert renewals[0] == ({"count": 1, "jobIds": [job.id]},)
    gate.set()
    await events.wait_for("completed")


async def test_an_idle_queue_is_asked_as_often_as_the_worker_says(bench: Bench) -> None:
    _, events = bench.worker(idle, drainDelay=0.3, removeOnComplete=True)
    await bench.add()
    await events.wait_for("completed")

    async def found_after() -> float:
        done = len(events.all("completed"))
        began = time.monotonic()
        async with bench.client.pipeline() as unmarked:  # as added by a client that was cut off
            fields = {"name": "job", "data": "{}", "opts": "{}"}
            unmarked.hset(f"{bench.base}silent", mapping=fields)
            unmarked.lpush(f"{bench.base}wait", "silent")
            await unmarked.execute()
        await events.wait_for("completed", done + 1)
        return time.monotonic() - began

    assert await soonest(found_after, 2) < 2  # otherwise after 5


async def test_what_redis_refuses_to_record_is_no_success(bench: Bench) -> None:
    async def process(job: bullmq.Job, _token: str) -> None:
        await bench.client.delete(f"{bench.base}{job.id}:lock")

    _, events = bench.worker(process)
    job = await bench.add()
    [(error,)] = await events.wait_for("error")
    assert str(error).startswith(f"could not finish job {job.id}: ")
    assert events.all("completed") == events.all("failed") == []

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bullq import ActionRefused, Bullq, InvalidOptionError, Job, Observer
from bullq.protocol.states import JobState
from bullq.queues.control import GlobalLimit
from bullq.queues.queue import JobQueue
from tests.integration.queues.conftest import Work
from tests.support.workers import running_worker

OLD_PAUSED = 9_000  # more than BullMQ's script moves in one call


async def test_a_paused_queue_gives_no_jobs_until_it_is_resumed(
    app: Bullq, queue: JobQueue, work: Job[Work, None]
) -> None:
    await queue.control.pause()
    assert await queue.control.is_paused()
    await work.dispatch(Work())
    async with running_worker(app, "default") as (_, recorder):
        with pytest.raises(TimeoutError):
            await recorder.wait_for("job_started", deadline=0.1)
        await queue.control.resume()
        await recorder.wait_for("job_completed")
    assert not await queue.control.is_paused()


async def test_a_resume_brings_back_all_that_an_older_client_has_paused(queue: JobQueue) -> None:
    client, keys = queue.store.client(), queue.keys
    ids = [f"job-{number}" for number in range(OLD_PAUSED)]
    await client.lpush(keys.key("paused"), *ids)
    await client.lpush(keys.key("wait"), "newer")
    with pytest.raises(ActionRefused, match=r"Not resumed.*9,000 jobs in its list 'paused'"):
        await queue.control.resume()
    await queue.control.resume(force=True)
    assert not await client.exists(keys.key("paused"))
    # A worker takes from the list's end: what was paused comes first, in its order.
    waiting = await client.lrange(keys.key("wait"), 0, -1)
    assert len(waiting) == OLD_PAUSED + 1
    assert waiting[0] == "newer"
    events = [event.name async for event in queue.events(since="0-0", quiet_for=0.05)]
    assert events == ["resumed"]


@pytest.mark.parametrize("version", ["bullmq:5.81.5", "bullmq-pro:7.46.0"])
async def test_a_queue_shared_with_an_older_client_is_not_paused_unless_forced(
    queue: JobQueue, version: str
) -> None:
    await queue.store.client().hset(queue.keys.key("meta"), "version", version)
    with pytest.raises(ActionRefused, match=f"Not paused.*{version}.*get lost"):
        await queue.control.pause()
    assert not await queue.control.is_paused()
    await queue.control.pause(force=True)
    assert await queue.control.is_paused()


async def test_a_queue_of_newer_clients_gives_no_warning(queue: JobQueue) -> None:
    await queue.store.client().hset(queue.keys.key("meta"), "version", "bullmq:6.7.0")
    shared = await queue.view.clients()
    assert (shared.version, shared.with_old_client, shared.warning) == ("bullmq:6.7.0", False, None)


async def test_drain_removes_what_waits_and_delayed_jobs_where_asked(
    queue: JobQueue, work: Job[Work, None]
) -> None:
    for _ in range(3):
        await work.dispatch(Work())
    await work.dispatch(Work(), priority=3)
    await work.dispatch(Work(), delay=3600)
    await queue.control.drain()
    assert await counted(queue) == {JobState.DELAYED: 1}
    await queue.control.drain(delayed=True)
    assert await counted(queue) == {}


async def test_clean_removes_what_ended_long_enough_ago_within_its_limit(
    app: Bullq, queue: JobQueue, work: Job[Work, None]
) -> None:
    await work.dispatch_many([Work()] * 250)  # more than one call removes
    await app.worker("default", Observer()).run(burst=True)
    assert await queue.control.clean(older_than=timedelta(minutes=1)) == []
    assert len(await queue.control.clean(limit=10)) == 10
    assert len(await queue.control.clean()) == 240
    assert await counted(queue) == {}
    for wrong in (JobState.UNKNOWN, JobState.WAITING_CHILDREN):
        with pytest.raises(InvalidOptionError, match="cannot be cleaned"):
            await queue.control.clean(wrong)


async def test_clean_leaves_the_next_run_of_a_schedule(queue: JobQueue) -> None:
    await queue.live.upsertJobScheduler("hourly", {"every": 3_600_000}, "work", {}, {})
    await queue.live.upsertJobScheduler("hourly", {"every": 3_600_000}, "work", {}, {})
    assert await queue.control.clean(JobState.DELAYED) == []
    assert await queue.store.client().zcard(queue.keys.key("repeat")) == 1


async def test_all_failed_jobs_are_retried_up_to_a_time(
    app: Bullq, queue: JobQueue, work: Job[Work, None]
) -> None:
    await work.dispatch_many([Work(fails=True)] * 250)
    await app.worker("default", Observer()).run(burst=True)
    assert await counted(queue) == {JobState.FAILED: 250}
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert await queue.control.retry_all(until=hour_ago) == 0
    assert await queue.control.retry_all() == 250
    assert await counted(queue) == {JobState.WAITING: 250}
    with pytest.raises(InvalidOptionError, match="time zone"):
        await queue.control.retry_all(until=datetime.now())  # noqa: DTZ005 - that is the point


async def test_all_delayed_jobs_are_promoted(queue: JobQueue, work: Job[Work, None]) -> None:
    await work.dispatch_many([Work()] * 250, delay=3600)
    assert await queue.control.promote_all() == 250
    assert await counted(queue) == {JobState.WAITING: 250}


async def test_limits_of_a_queue_are_set_read_and_taken_away(queue: JobQueue) -> None:
    control = queue.control
    assert (await control.concurrency(), await control.rate_limit()) == (None, None)
    await control.set_concurrency(3)
    await control.set_rate_limit(2, per=timedelta(milliseconds=500))
    assert (await control.concurrency(), await control.rate_limit()) == (3, GlobalLimit(2, 500))
    await control.hold_back(3_600)
    assert 3_000_000 < await control.held_back_for() <= 3_600_000
    assert await control.let_go()
    assert not await control.let_go()
    assert await control.held_back_for() == 0
    await control.set_concurrency(None)
    await control.set_rate_limit(None)
    assert (await control.concurrency(), await control.rate_limit()) == (None, None)
    for wrong in (
        control.set_concurrency(0),
        control.set_rate_limit(0),
        control.set_rate_limit(1, 0),
    ):
        with pytest.raises(InvalidOptionError):
            await wrong


async def test_obliterate_leaves_nothing(
    queue: JobQueue, work: Job[Work, None], prefix: str
) -> None:
    await work.dispatch_many([Work()] * 250)
    await work.dispatch(Work(), delay=3600)
    await queue.control.obliterate()
    assert await queue.store.client().keys(f"{prefix}:*") == []


async def test_obliterate_refuses_while_jobs_run_and_leaves_the_queue_as_it_was(
    queue: JobQueue, work: Job[Work, None], prefix: str
) -> None:
    await work.dispatch(Work())
    client = queue.store.client()
    await client.lmove(queue.keys.key("wait"), queue.keys.key("active"))
    with pytest.raises(ActionRefused, match="has 1 active jobs"):
        await queue.control.obliterate()
    assert not await queue.control.is_paused()
    await queue.control.obliterate(force=True)
    assert await client.keys(f"{prefix}:*") == []


async def counted(queue: JobQueue) -> dict[JobState, int]:
    return {state: count for state, count in (await queue.view.counts()).items() if count}


async def test_a_worker_that_shares_its_queue_with_an_older_client_says_so(
    app: Bullq, queue: JobQueue
) -> None:
    await queue.store.client().hset(queue.keys.key("meta"), "version", "bullmq:5.81.5")
    async with running_worker(app, "default") as (_, recorder):
        [told] = await recorder.wait_for("trouble")
    assert told.arguments[0] == "default"
    assert "is shared with a client of BullMQ 5" in told.arguments[1]


async def test_rescue_leaves_alone_what_is_somewhere(
    app: Bullq, queue: JobQueue, work: Job[Work, None]
) -> None:
    await queue.live.upsertJobScheduler("hourly", {"every": 3_600_000}, "work", {}, {})
    await work.dispatch(Work(fails=True))
    await app.worker("default", Observer()).run(burst=True)
    await work.dispatch(Work(), deduplication_id="one", id="waits")
    await work.dispatch(Work(), delay=3600)
    await work.dispatch(Work(), priority=2)
    await work.dispatch(Work(), id="lost")
    await work.dispatch(Work(), id="lost-too", priority=3)
    client = queue.store.client()
    await client.lrem(queue.keys.key("wait"), 0, "lost")
    await client.zrem(queue.keys.key("prioritized"), "lost-too")
    assert sorted(await queue.control.rescue()) == ["lost", "lost-too"]
    assert await client.lrange(queue.keys.key("wait"), 0, -1) == ["waits", "lost"]
    assert await client.zcard(queue.keys.key("prioritized")) == 2

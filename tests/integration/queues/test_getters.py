from __future__ import annotations

import asyncio
from datetime import timedelta

from bullq import Bullq, Job, JobState, Observer, QueueSpec
from bullq.queues.queue import JobQueue
from tests.conftest import AppFactory
from tests.integration.queues.conftest import Work
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker


async def test_jobs_of_a_state_come_page_by_page_in_the_order_of_work(
    app: Bullq, queue: JobQueue, work: Job[Work, None]
) -> None:
    for number in range(5):
        await work.dispatch(Work(), id=f"job-{number}")

    async def page(state: JobState, *places: int, newest_first: bool | None = None) -> list[str]:
        found = await queue.view.jobs(state, *places, newest_first=newest_first)
        return [record.id.removeprefix("job-") for record in found]

    waiting = JobState.WAITING
    assert await page(waiting) == ["0", "1", "2", "3", "4"]
    assert await page(waiting, 1, 2) == ["1", "2"]
    assert await page(waiting, 3, -1) == ["3", "4"]
    assert await page(waiting, 0, 1, newest_first=True) == ["4", "3"]
    await app.worker("default", Observer(), concurrency=1).run(burst=True)
    assert await page(waiting) == []
    assert sorted(await page(JobState.COMPLETED, 0, -1)) == ["0", "1", "2", "3", "4"]
    assert await page(JobState.COMPLETED, 0, 0) != await page(JobState.COMPLETED, -1, -1)


async def test_jobs_are_counted_by_state_and_by_priority(
    app: Bullq, queue: JobQueue, work: Job[Work, None]
) -> None:
    await work.dispatch(Work(fails=True))
    await app.worker("default", Observer()).run(burst=True)
    for options in ({}, {"priority": 2}, {"priority": 2}, {"priority": 7}, {"delay": 60}):
        await work.dispatch(Work(), **options)  # type: ignore[arg-type]
    counts = await queue.view.counts()
    assert {state: count for state, count in counts.items() if count} == {
        JobState.WAITING: 1,
        JobState.PRIORITIZED: 3,
        JobState.DELAYED: 1,
        JobState.FAILED: 1,
    }
    assert await queue.view.counts_per_priority([0, 2, 7, 9]) == {0: 1, 2: 2, 7: 1, 9: 0}


async def test_metrics_count_the_jobs_of_each_minute(
    make_app: AppFactory, work: Job[Work, None]
) -> None:
    app = make_app(work, queues=[QueueSpec(name="default", metrics_for=timedelta(hours=1))])
    queue = app.queue("default")
    await work.dispatch_many([Work(), Work(), Work(fails=True)])
    await app.worker("default", Observer()).run(burst=True)
    client, key = queue.store.client(), queue.keys.key("metrics:completed")
    three_minutes_ago = int(await client.hget(key, "prevTS")) - 180_000
    await client.hset(key, "prevTS", three_minutes_ago)
    await work.dispatch(Work())
    await app.worker("default", Observer()).run(burst=True)
    completed = await queue.view.metrics(JobState.COMPLETED)
    # The newest minute comes first: as BullMQ counts, all of a gap's jobs are its first minute's.
    gap = int(await client.hget(key, "prevTS")) // 60_000 - three_minutes_ago // 60_000
    assert gap >= 3
    assert (completed.count, completed.points) == (3, [0] * (gap - 1) + [2])
    assert (await queue.view.metrics(JobState.FAILED)).count == 1


async def test_what_is_not_there_reads_as_nothing(queue: JobQueue) -> None:
    view = queue.view
    assert await view.job("nowhere") is None
    assert await view.jobs(JobState.FAILED) == []
    assert await view.logs("nowhere") == []
    assert (await view.children("nowhere")).total == 0
    metrics = await view.metrics(JobState.COMPLETED)
    assert (metrics.count, metrics.points) == (0, [])
    assert await view.settings() == {}
    assert (await view.clients()).version is None


async def test_workers_are_named(app: Bullq, queue: JobQueue) -> None:
    assert await queue.view.workers() == []
    async with running_worker(app, "default", name="worker-7"):
        async with asyncio.timeout(DEADLINE):
            while not (names := await queue.view.workers()):
                pass
    assert names == ["worker-7"]


async def test_settings_of_clients_are_read_as_they_are(
    queue: JobQueue, work: Job[Work, None]
) -> None:
    await work.dispatch(Work())
    await queue.control.set_concurrency(3)
    settings = await queue.view.settings()
    assert settings["concurrency"] == "3"
    assert settings["version"].startswith("bullq:")

"""Keep recurring jobs going: make their schedules as declared, and move each on at its run."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from bullmq.job import Job as OfficialJob

from bullq.errors import InvalidOptionError, JobDefinitionError, PayloadError, StoreUnavailable
from bullq.queues.options import job_options
from bullq.queues.schedules import OWN_PREFIX, Schedule, ensure_schedule, remove_schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bullq.jobs.job import Job
    from bullq.protocol.record import JobRecord
    from bullq.queues.queue import JobQueue
    from bullq.telemetry.hooks import Observer

_PAUSE = 0.5  # seconds between attempts while Redis does not serve


def declared_schedule(job: Job[Any, Any]) -> Schedule | None:
    """Give the schedule a job declares, or None; raises JobDefinitionError for one that cannot be.

    Each run's payload is `{}`, so the payload's fields all need defaults.
    """
    policy = job.policy
    if policy.cron is None and policy.every_ms is None:
        return None
    try:
        schedule = Schedule(
            id=OWN_PREFIX + job.name, cron=policy.cron, every_ms=policy.every_ms, tz=policy.tz
        )
        job.payload.decode("{}")
    except InvalidOptionError as error:
        raise JobDefinitionError([f"{job.location}: {error}"]) from error
    except PayloadError as error:
        raise JobDefinitionError(
            [f"{job.location}: a recurring job's payload needs a default for each field: {error}"]
        ) from error
    return schedule


async def keep_schedules(
    queue: JobQueue, jobs: Iterable[Job[Any, Any]], observer: Observer
) -> None:
    """Make what the jobs of a queue declare, and remove what they declared before."""
    for job in jobs:
        schedule = declared_schedule(job)
        schedule_id = OWN_PREFIX + job.name
        if schedule is None:
            if await remove_schedule(queue, schedule_id):
                observer.schedule_changed(queue.spec.name, schedule_id, "removed")
        elif await ensure_schedule(queue, schedule, job.name, {}, job_options(job, queue.spec)):
            observer.schedule_changed(queue.spec.name, schedule_id, "made")


async def move_on(queue: JobQueue, record: JobRecord) -> None:
    """Queue the run after this one, for a job that a schedule has made.

    Waits for as long as Redis does not serve: a recurring job whose next run is not queued has
    ended for ever.
    """
    scheduler = queue.live.jobScheduler
    official = OfficialJob.fromJSON(queue.live, dict(record.fields), record.id)
    while True:
        try:
            with queue.store.errors():
                await scheduler.upsertJobScheduler(
                    record.scheduler_id,
                    record.options.get("repeat"),
                    record.name,
                    json.loads(record.data),
                    official.opts,
                    override=False,
                    producer_id=record.id,
                )
        except StoreUnavailable:
            await asyncio.sleep(_PAUSE)
        else:
            return

"""Keep recurring jobs going: make their schedules as declared, and move each on at its run."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from bullmq.job import Job as OfficialJob

from bullq.errors import InvalidOptionError, JobDefinitionError, PayloadError, StoreUnavailable
from bullq.protocol.record import CorruptRecord, JobRecord
from bullq.queues.options import job_options
from bullq.queues.schedules import OWN_PREFIX, Schedule, ensure_schedule, remove_schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bullq.jobs.job import Job
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
    queue: JobQueue, jobs: Iterable[Job[Any, Any]], observer: Observer, *, here: bool = True
) -> None:
    """Make what the jobs of a queue declare, and remove what they declared before.

    Where another engine keeps the time (not *here*), all of them are removed: a job that recurs
    on two engines runs twice.
    """
    for job in jobs:
        schedule = declared_schedule(job) if here else None
        schedule_id = OWN_PREFIX + job.name
        if schedule is None:
            if await remove_schedule(queue, schedule_id):
                observer.schedule_changed(queue.spec.name, schedule_id, "removed")
        elif await ensure_schedule(queue, schedule, job.name, {}, job_options(job, queue.spec)):
            observer.schedule_changed(queue.spec.name, schedule_id, "made")


async def move_on(queue: JobQueue, record: JobRecord) -> None:
    """Queue the run after this one, for a job that a schedule has made.

    Waits for as long as Redis does not serve: a recurring job whose next run is not queued has
    ended for ever. Raises CorruptRecord where the next run cannot be told, as with the cron
    syntax that only Node has (`H`): a job that fails is seen, a schedule that just ends is not.
    """
    try:
        official = OfficialJob.fromJSON(queue.live, dict(record.fields), record.id)
        data, repeat = json.loads(record.data), record.options.get("repeat")
        following = (repeat, record.name, data, official.opts)
        while not await _upserted(queue, record, following):  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(_PAUSE)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise CorruptRecord(
            f"the schedule {record.scheduler_id!r} cannot go on, so its run was not begun: {error}"
        ) from error


async def _upserted(queue: JobQueue, record: JobRecord, following: tuple[Any, ...]) -> bool:
    """Queue the next run; tell whether Redis did it."""
    try:
        with queue.store.errors():
            await queue.live.jobScheduler.upsertJobScheduler(
                record.scheduler_id, *following, override=False, producer_id=record.id
            )
    except StoreUnavailable:
        return False
    return True

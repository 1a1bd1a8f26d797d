"""The schedules of an application's queues: make them, list them, run them now, remove them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bullq.errors import ActionRefused, InvalidOptionError
from bullq.protocol.options import decode_options
from bullq.queues.options import job_options
from bullq.queues.schedules import OWN_PREFIX, Schedule, ensure_schedule, remove_schedule

if TYPE_CHECKING:
    from bullq.jobs.definition import JobDefinition
    from bullq.queues.queue import JobQueue

DataT = TypeVar("DataT")


@dataclass(frozen=True, slots=True)
class KnownSchedule:
    """A schedule as Redis has it, Node's too: when it runs, what, and how often it has.

    *next_ms* is when the next run is due, in ms since the epoch; *runs* how many were queued.
    *cron* or *every_ms* say when, a *limit* how often in all. *data* and *options* are those of
    each run.
    """

    id: str
    job: str
    next_ms: int
    runs: int
    cron: str | None
    every_ms: int | None
    tz: str | None
    start_ms: int | None
    end_ms: int | None
    limit: int | None
    data: Any
    options: Mapping[str, Any]


class Timetable:
    """Schedules beside those that jobs declare; *live_queue* gives a queue by its name.

    Raises StoreUnavailable where Redis is away.
    """

    def __init__(self, live_queue: Callable[[str], JobQueue]) -> None:
        self._live_queue = live_queue

    async def put(self, schedule: Schedule, job: JobDefinition[DataT, Any], data: DataT) -> bool:
        """Have *job* run with *data* by the schedule, or change it; tell whether it was changed.

        Each run has the attempts, backoff and retention of the job and its queue. Raises
        PayloadError, InvalidOptionError.
        """
        if schedule.id.startswith(OWN_PREFIX):
            raise InvalidOptionError(
                f"Schedule {schedule.id!r}: ids that begin with {OWN_PREFIX!r} are those of jobs "
                "that declare their schedule; take another one"
            )
        queue = self._live_queue(job.queue)
        payload = json.loads(job.payload.write(data))
        return await ensure_schedule(
            queue, schedule, job.name, payload, job_options(job, queue.spec)
        )

    async def on(self, queue: str) -> list[KnownSchedule]:
        """List the schedules of a queue, the one that is due next first."""
        live = self._live_queue(queue)
        with live.store.errors():
            client, key = live.store.client(), live.keys.key("repeat")
            ids = await client.zrange(key, 0, -1, withscores=True)
            pipeline = client.pipeline(transaction=False)
            for schedule_id, _ in ids:
                pipeline.hgetall(f"{key}:{schedule_id}")
            found = await pipeline.execute() if ids else []
        # What has no count of its runs is a repeatable job of an older kind, and no schedule.
        return [
            _known(schedule_id, next_ms, fields)
            for (schedule_id, next_ms), fields in zip(ids, found, strict=True)
            if "ic" in fields
        ]

    async def find(self, queue: str, schedule_id: str) -> KnownSchedule | None:
        """Give one schedule, None where the queue has none of that id."""
        return next((one for one in await self.on(queue) if one.id == schedule_id), None)

    async def run_now(self, queue: str, schedule_id: str) -> None:
        """Have the next run of a schedule begin now; the one after it is as before.

        Raises ActionRefused where there is no such schedule, or its run has begun.
        """
        known = await self.find(queue, schedule_id)
        if known is None:
            raise ActionRefused(f"The queue {queue!r} has no schedule {schedule_id!r}")
        await self._live_queue(queue).jobs.promote(f"repeat:{schedule_id}:{known.next_ms}")

    async def remove(self, queue: str, schedule_id: str) -> bool:
        """Remove a schedule and its next run; tell whether there was one."""
        return await remove_schedule(self._live_queue(queue), schedule_id)


def _known(schedule_id: str, next_ms: float, fields: Mapping[str, str]) -> KnownSchedule:
    return KnownSchedule(
        id=schedule_id,
        job=fields.get("name", ""),
        next_ms=int(next_ms),
        runs=_whole(fields, "ic") or 0,
        cron=fields.get("pattern"),
        every_ms=_whole(fields, "every"),
        tz=fields.get("tz"),
        start_ms=_whole(fields, "startDate"),
        end_ms=_whole(fields, "endDate"),
        limit=_whole(fields, "limit"),
        data=json.loads(fields.get("data") or "{}"),
        options=decode_options(json.loads(fields.get("opts") or "{}")),
    )


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    return int(float(fields[name])) if fields.get(name) else None

"""Recurring jobs: BullMQ job schedulers that follow what the jobs declare."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from bullq.errors import InvalidOptionError
from bullq.protocol.options import JobOptions

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue

OWN_PREFIX = "bullq-"
"""What the ids of schedules begin with that bullq made from a job's declaration."""

_LEAST_EVERY_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a job recurs: by *cron* in the time zone *tz*, or *every_ms*; one of the two.

    *cron* has 5 fields, or 6 with seconds first. The zone is always told to BullMQ: without one
    Node would take its process' zone and the official Python client UTC. None sets no bound for
    *start*, *end* and *limit* (how many runs in all).
    """

    id: str
    cron: str | None = None
    every_ms: int | None = None
    tz: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every_ms is None):
            said = "neither cron nor every" if self.cron is None else "both cron and every"
            raise InvalidOptionError(f"Schedule {self.id!r}: has {said}; give one of them")
        if self.cron is not None:
            self._check_cron(self.cron)
        if self.every_ms is not None and self.every_ms < _LEAST_EVERY_MS:
            raise InvalidOptionError(
                f"Schedule {self.id!r}: every is at least 1 s, not {self.every_ms} ms"
            )
        if ":" in self.id or not self.id:
            raise InvalidOptionError(f"A schedule's id is not empty and has no ':': {self.id!r}")
        try:
            ZoneInfo(self.tz)
        except (OSError, ValueError, KeyError):
            raise InvalidOptionError(
                f"Schedule {self.id!r}: {self.tz!r} is no time zone; "
                "name one like 'Europe/Berlin' or 'UTC'"
            ) from None
        for name in ("start", "end"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise InvalidOptionError(f"Schedule {self.id!r}: {name} needs a time zone")

    def _check_cron(self, cron: str) -> None:
        # croniter's R draws a time by chance, once; no other client of BullMQ knows it.
        drawn = re.search(r"\bR\b", cron, re.IGNORECASE)
        if drawn or not croniter.is_valid(cron, second_at_beginning=True):
            raise InvalidOptionError(
                f"Schedule {self.id!r}: {cron!r} is no cron expression; it has 5 fields "
                "(minute hour day month weekday), or 6 with seconds first"
            )
        try:
            croniter(cron, datetime.now(UTC), second_at_beginning=True).get_next()
        except CroniterBadDateError:
            raise InvalidOptionError(
                f"Schedule {self.id!r}: {cron!r} names no date that ever comes"
            ) from None

    @property
    def repeat(self) -> dict[str, Any]:
        """The schedule as BullMQ's repeat options; times in ms since the epoch."""
        options = {
            "pattern": self.cron,
            "every": self.every_ms,
            "tz": self.tz if self.cron else None,
            "startDate": None if self.start is None else round(self.start.timestamp() * 1000),
            "endDate": None if self.end is None else round(self.end.timestamp() * 1000),
            "limit": self.limit,
        }
        return {name: value for name, value in options.items() if value is not None}


async def ensure_schedule(
    queue: JobQueue, schedule: Schedule, name: str, data: Any, options: JobOptions
) -> bool:
    """Make the schedule, or change it where it differs; tell whether anything was changed.

    A schedule that is as it should be is left alone, so that a worker's start moves no run.
    """
    # BullMQ keeps no data where it is empty.
    template = {"data": data, "opts": options} if data else {"opts": options}
    wanted = {"name": name, **schedule.repeat, "template": template}
    await queue.introduce()
    with queue.store.errors():
        # The official client's getJobScheduler raises ValueError for one that does not exist.
        known = await queue.store.client().zscore(queue.keys.key("repeat"), schedule.id)
        found = None if known is None else await queue.live.getJobScheduler(schedule.id)
        if found and found.get("next") and {key: found.get(key) for key in wanted} == wanted:
            return False
        await queue.live.upsertJobScheduler(schedule.id, schedule.repeat, name, data, dict(options))
    return True


async def remove_schedule(queue: JobQueue, schedule_id: str) -> bool:
    """Remove a schedule and its next run; tell whether there was one."""
    with queue.store.errors():
        return bool(await queue.live.removeJobScheduler(schedule_id) == 0)

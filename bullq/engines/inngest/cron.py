"""When Inngest is to begin a recurring job: its cron has five fields, and no seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullq.errors import JobDefinitionError

if TYPE_CHECKING:
    from bullq.jobs.job import Job

_FIELDS = 5
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000


def trigger_of(job: Job[Any, Any]) -> str | None:
    """Give a job's schedule as Inngest writes it, None where it has none.

    Raises JobDefinitionError for one that Inngest cannot keep.
    """
    policy = job.policy
    if policy.every_ms is not None:
        return _every(job, policy.every_ms)
    if policy.cron is None:
        return None
    fields = policy.cron.split()
    if len(fields) == _FIELDS + 1 and fields[0] == "0":
        fields = fields[1:]
    if len(fields) != _FIELDS:
        raise _refused(job, f"cron={policy.cron!r} has seconds")
    zone = "" if policy.tz == "UTC" else f"TZ={policy.tz} "
    return zone + " ".join(fields)


def _every(job: Job[Any, Any], every_ms: int) -> str:
    for unit, whole, pattern in (
        (_MINUTE, 60, "*/{} * * * *"),
        (_HOUR, 24, "0 */{} * * *"),
        (_DAY, 1, "0 0 * * *"),
    ):
        count, rest = divmod(every_ms, unit)
        if not rest and count and count <= whole and whole % count == 0:
            return pattern.format(count) if count < whole or unit == _DAY else _whole(unit)
    raise _refused(job, f"every {every_ms / 1000:g} s does not divide an hour or a day in minutes")


def _whole(unit: int) -> str:
    return "0 * * * *" if unit == _MINUTE else "0 0 * * *"


def _refused(job: Job[Any, Any], why: str) -> JobDefinitionError:
    return JobDefinitionError(
        [
            f"{job.location}: Inngest cannot keep its schedule: {why}. Have BullMQ keep it "
            "(BULLQ_RECURRING_ON=bullmq), or give it a cron of 5 fields"
        ]
    )

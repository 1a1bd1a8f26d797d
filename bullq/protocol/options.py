"""Job options as BullMQ stores them, and the refusals Node makes before it stores any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from bullq.errors import InvalidOptionError

MAX_PRIORITY = 2_097_152
"""The lowest priority there is; BullMQ packs it above a 32-bit counter in one score."""

MAX_DELAY_MS = 2**40
"""The longest delay, about 34 years: its due time, in units of 1/4096 ms, is a double's score."""

PARENT_FLAGS = {
    "fpof": "failParentOnFailure",
    "cpof": "continueParentOnFailure",
    "idof": "ignoreDependencyOnFailure",
    "rdof": "removeDependencyOnFailure",
}
"""What a child's failure does to its parent, by the short names of the scripts."""

_SHORT_TO_LONG = {"de": "deduplication", **PARENT_FLAGS, "kl": "keepLogs"}
_LONG_TO_SHORT = {long: short for short, long in _SHORT_TO_LONG.items()}


class BackoffOptions(TypedDict, total=False):
    """How long to wait before the next attempt; *delay* in ms, *jitter* from 0 to 1."""

    type: str
    delay: float
    jitter: float


class KeepJobs(TypedDict, total=False):
    """Which finished jobs to keep: *count* newest ones, those younger than *age* seconds."""

    count: int
    age: int
    limit: int


class Deduplication(TypedDict, total=False):
    """Which other job stands for this one; *ttl* in ms."""

    id: str
    ttl: int
    extend: bool
    replace: bool
    keepLastIfActive: bool


class JobOptions(TypedDict, total=False):
    """The options of one job, under the names the clients use; *delay* in ms."""

    jobId: str
    timestamp: int
    delay: int
    priority: int
    lifo: bool
    attempts: int
    backoff: BackoffOptions
    removeOnComplete: bool | int | KeepJobs
    removeOnFail: bool | int | KeepJobs
    keepLogs: int
    stackTraceLimit: int
    deduplication: Deduplication
    tm: str
    omc: bool


def encode_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options the form in which BullMQ stores them."""
    return {_LONG_TO_SHORT.get(key, key): value for key, value in options.items()}


def decode_options(stored: dict[str, Any]) -> dict[str, Any]:
    """Give the stored form its long names back; keys without a short form stay as they are."""
    return {_SHORT_TO_LONG.get(key, key): value for key, value in stored.items()}


def check_queue_name(name: str) -> str:
    """Refuse the queue names Node refuses, and those that cannot be told apart as keys."""
    if not name or ":" in name:
        raise InvalidOptionError(
            f"A queue's name is not empty and has no ':' in it, not {name!r}: "
            "the name is a part of every Redis key of the queue"
        )
    return name


def check_job_id(job_id: str) -> str:
    """Refuse the ids Node refuses, for the reasons it has.

    A whole number collides with the ids BullMQ counts up itself; ':' separates the parts of a
    key; '0' and '0:...' were markers in the list of waiting jobs, and workers drop them.
    """
    if not isinstance(job_id, str):
        raise InvalidOptionError(f"A job's id is text, not {job_id!r}; write {str(job_id)!r}")
    if job_id and ":" not in job_id and not job_id.removeprefix("-").isdecimal():
        return job_id  # as nearly all are
    if not job_id:
        raise InvalidOptionError("A job's id is not empty; leave it out and bullq makes one")
    if job_id == "0" or job_id.startswith("0:"):
        raise InvalidOptionError(f"A job's id is not '0' and does not begin with '0:': {job_id!r}")
    if _is_integer(job_id):
        raise InvalidOptionError(
            f"A job's id is no whole number: {job_id!r} can collide with the ids that BullMQ "
            f"counts up itself; use one like 'order-{job_id}'"
        )
    if ":" in job_id:
        raise InvalidOptionError(
            f"A job's id has no ':' in it: {job_id!r}; use one like "
            f"'{job_id.replace(':', '-')}', since ':' separates the parts of a Redis key"
        )
    return job_id


def check_priority(priority: int) -> int:
    """Refuse a priority outside 0 (none, runs first) to 2,097,152 (lowest)."""
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise InvalidOptionError(f"A priority is a whole number, not {priority!r}")
    if not 0 <= priority <= MAX_PRIORITY:
        raise InvalidOptionError(
            f"A priority is from 1 (first) to {MAX_PRIORITY:,} (last), or 0 for none, "
            f"not {priority}"
        )
    return priority


def check_attempts(attempts: int) -> int:
    """Refuse anything but a whole number of tries from 1."""
    if type(attempts) is not int or attempts < 1:  # True is an int, and no number of tries
        raise InvalidOptionError(
            f"attempts counts all tries and is a whole number from 1, not {attempts!r}"
        )
    return attempts


def check_delay(delay_ms: int) -> int:
    """Refuse a delay (ms) that BullMQ's score for delayed jobs cannot hold."""
    if not 0 <= delay_ms <= MAX_DELAY_MS:
        raise InvalidOptionError(
            f"A delay is from 0 to {MAX_DELAY_MS // 86_400_000:,} days, not {delay_ms} ms"
        )
    return delay_ms


def check_deduplication(deduplication: Deduplication) -> Deduplication:
    """Refuse a deduplication without an id."""
    if not deduplication.get("id"):
        raise InvalidOptionError("Deduplication needs an id: jobs with the same id are one job")
    return deduplication


def check_options(options: JobOptions) -> None:
    """Raise InvalidOptionError for what Node refuses, or BullMQ would mishandle."""
    if "jobId" in options:
        check_job_id(options["jobId"])
    check_priority(options.get("priority", 0))
    check_delay(options.get("delay", 0))
    check_attempts(options.get("attempts", 1))
    if "deduplication" in options:
        check_deduplication(options["deduplication"])
    if options.get("lifo") and options.get("priority"):
        raise InvalidOptionError(
            "A job is either lifo or has a priority: prioritised jobs have an order of their own"
        )


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and (digits == "0" or digits[0] != "0")

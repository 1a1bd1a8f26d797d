"""The entries of a queue's event stream, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bullq.protocol.record import read_json

EVENT_NAMES = (
    "added",
    "waiting",
    "delayed",
    "waiting-children",
    "active",
    "progress",
    "completed",
    "failed",
    "retries-exhausted",
    "stalled",
    "drained",
    "paused",
    "resumed",
    "removed",
    "cleaned",
    "duplicated",
    "deduplicated",
    "debounced",
)
"""What BullMQ's scripts tell; producers may add events of their own."""


ROUTED_VALUE = '{"routed":"inngest"}'
"""The return value of a job that was routed to Inngest and has not ended there yet."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job has completed, with its result as JSON text, or failed for good, with the reason."""

    job_id: str
    completed: bool
    value: str


def read_ended(entry: Mapping[str, str]) -> Ended | None:
    """Read a stream entry that ends a job; None for any other event.

    Retries are told as 'waiting' or 'delayed' there, so 'failed' is always the last word. A job
    that was routed to another engine counts as completed for Node alone: here it goes on.
    """
    match entry:
        case {"event": "completed", "returnvalue": value} if value == ROUTED_VALUE:
            return None
        case {"event": "completed", "jobId": job_id}:
            return Ended(job_id, completed=True, value=entry.get("returnvalue", "null"))
        case {"event": "failed", "jobId": job_id}:
            return Ended(job_id, completed=False, value=entry.get("failedReason", ""))
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEvent:
    """Something that happened on a queue. What an event does not tell is None.

    *id* is its place in the stream, by which reading can be taken up again; *name* what
    happened, one of BullMQ's names or a producer's own. *state* is what the job was before.
    """

    id: str
    name: str
    job_id: str | None = None
    job_name: str | None = None
    """The job's name, told by 'added'."""
    state: str | None = None
    result: Any = None
    """The result of a job that 'completed', as JSON data."""
    reason: str | None = None
    """Why a job 'failed' for good."""
    progress: Any = None
    due_ms: int | None = None
    """When a job that is 'delayed' may begin, in ms since the epoch."""
    attempts_made: int | None = None
    count: int | None = None
    """How many jobs were 'cleaned'."""
    deduplication_id: str | None = None
    deduplicated_job_id: str | None = None
    """The job that was not added, since *job_id* stands for it."""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    """All that the entry holds, as text."""

    @property
    def at_ms(self) -> int:
        """When it happened, in ms since the epoch, by the server's clock."""
        return int(self.id.partition("-")[0])


def read_event(entry_id: str, entry: Mapping[str, str]) -> QueueEvent:
    """Read any stream entry."""
    name = entry.get("event", "")
    told: dict[str, Any] = {
        "result": _json(entry.get("returnvalue")) if name == "completed" else None,
        "reason": entry.get("failedReason"),
        "progress": _json(entry.get("data")) if name == "progress" else None,
        "due_ms": _whole(entry.get("delay")) if name == "delayed" else None,
        "attempts_made": _whole(entry.get("attemptsMade")),
        "count": _whole(entry.get("count")) if name == "cleaned" else None,
    }
    return QueueEvent(
        id=entry_id,
        name=name,
        job_id=entry.get("jobId"),
        job_name=entry.get("name") if name == "added" else None,
        state=entry.get("prev"),
        deduplication_id=entry.get("deduplicationId") or entry.get("debounceId"),
        deduplicated_job_id=entry.get("deduplicatedJobId"),
        fields=entry,
        **told,
    )


def _json(text: str | None) -> Any:
    """Read JSON; what is none is given as it is."""
    if text is None:
        return None
    try:
        return read_json(text)
    except ValueError:
        return text


def _whole(text: str | None) -> int | None:
    """Read a number; Lua writes large ones with an exponent."""
    try:
        return None if text is None else int(float(text))
    except (ValueError, OverflowError):
        return None

"""A job as an event of Inngest, and what may become of it. Importing this loads no HTTP client."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from bullq.clock import Duration, to_ms
from bullq.engines.inngest.exact import is_changed
from bullq.jobs.limits import MOST_EVENT_BYTES
from bullq.protocol.record import to_json

ENVELOPE = "_bullq"
"""What bullq tells its own functions goes under this name beside the payload's fields."""

LARGEST_EVENT = MOST_EVENT_BYTES
"""Bytes; a server refuses more."""

_LONGEST_HEAD_START = 43_200  # seconds; the server's own bound


class Outcome(enum.Enum):
    """What is known of an event that was sent."""

    ACCEPTED = "accepted"
    """The server has it. That a function listens to it is another matter: see probe.py."""
    REFUSED = "refused"
    """It did not reach a server, or the server said no: it will not run."""
    UNKNOWN = "unknown"
    """It was sent and no answer came: it may run. Sending it again under its id is harmless."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How one call ended, and why where it was not accepted."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMessage:
    """One job as an event. *data* is its payload as JSON data, *job_id* the event's id, too.

    *priority* is BullMQ's: 0 for none, else from 1 (first). *failures* counts the attempts that
    another engine has spent. *told* is added to what the function is told of the dispatch.
    """

    queue: str
    name: str
    job_id: str
    data: dict[str, Any]
    delay: Duration = 0
    priority: int = 0
    failures: int = 0
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def event_name(self) -> str:
        """The event that the job's function listens to."""
        return event_name(self.queue, self.name)

    def as_event(self, now_ms: int) -> dict[str, Any]:
        """Give the event as the server takes it; *now_ms* is by this machine's clock."""
        told = {
            "id": self.job_id,
            "head_start": -min(self.priority, _LONGEST_HEAD_START),
            "failures": self.failures,
            **self.told,
        }
        return {
            "id": self.job_id,
            "name": self.event_name,
            "data": enveloped(self.data, told),
            "ts": now_ms + to_ms(self.delay),
        }


def enveloped(data: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Put what the function is told beside the payload's fields.

    A payload that the server would change is in it as a text, in place of the fields.
    """
    if is_changed(data):
        return {ENVELOPE: {**told, "exact": to_json(data)}}
    return {**data, ENVELOPE: told}


def event_name(queue: str, name: str) -> str:
    """Name the event of a job."""
    return f"bullq/{queue}.{name}"

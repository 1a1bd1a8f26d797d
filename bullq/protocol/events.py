"""The entries of a queue's event stream that say how a job ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """A job has completed, with its result as JSON text, or failed for good, with the reason."""

    job_id: str
    completed: bool
    value: str


def read_ended(entry: Mapping[str, str]) -> Ended | None:
    """Read a stream entry that ends a job; None for any other event.

    Retries are told as 'waiting' or 'delayed' there, so 'failed' is always the last word.
    """
    match entry:
        case {"event": "completed", "jobId": job_id}:
            return Ended(job_id, completed=True, value=entry.get("returnvalue", "null"))
        case {"event": "failed", "jobId": job_id}:
            return Ended(job_id, completed=False, value=entry.get("failedReason", ""))
        case _:
            return None

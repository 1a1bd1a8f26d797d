"""Make the event of a job that BullMQ has not begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bullq.engines.inngest.messages import JobMessage

if TYPE_CHECKING:
    from bullq.store.arbiter import Parcel, Unsettled


def message_of(queue: str, parcel: Parcel, now_ms: int) -> JobMessage:
    """Make the event of a job that was routed; *now_ms* is by the clock of its due time."""
    return _message(
        queue,
        parcel.id,
        parcel.name,
        parcel.data,
        json.loads(parcel.options),
        delay_ms=max(0, parcel.due_ms - now_ms),
        told={},
    )


def message_for(
    queue: str, job: Unsettled, *, delay_ms: int, guard: Mapping[str, Any] | None = None
) -> JobMessage:
    """Make the event of a job of which the queue knows nothing, or nobody knows what it knows.

    With a *guard* its function asks the queue first: it says the `epoch` as it was known, and
    what `on_data_loss` is to be.
    """
    ours = {"known": job.known, "options": job.options, "timestamp": job.timestamp}
    return _message(
        queue,
        job.id,
        job.name,
        job.data,
        json.loads(job.options),
        delay_ms=delay_ms,
        told={} if guard is None else {"guard": {**ours, **guard}},
    )


def _message(
    queue: str,
    job_id: str,
    name: str,
    data: str,
    options: dict[str, Any],
    *,
    delay_ms: int,
    told: dict[str, Any],
) -> JobMessage:
    if "attempts" in options:
        told = {**told, "attempts": options["attempts"]}
    return JobMessage(
        queue=queue,
        name=name,
        job_id=job_id,
        data=json.loads(data),
        delay=delay_ms / 1000,
        priority=int(options.get("priority") or 0),
        told=told,
    )

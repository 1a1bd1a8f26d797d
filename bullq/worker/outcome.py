"""Turn how an attempt ended into the state that BullMQ records. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bullq.jobs.failure import reason_of, trace_of
from bullq.jobs.retry import wait_after
from bullq.protocol.record import CorruptRecord, JobRecord
from bullq.store.scripts import Delay, Finish, Retry, Settlement

_TOLD = "_bullq_trace"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, and whether another one may follow.

    It follows after *wait_ms*; None lets the job's options say. *counted* is which failed attempt
    this is for the policy of retries, None: the job's next. *fields* go on record with it.
    """

    error: BaseException
    retriable: bool = True
    wait_ms: int | None = None
    counted: int | None = None
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The failure as BullMQ's failedReason."""
        return reason_of(self.error)

    @property
    def trace(self) -> str:
        """The failure as an entry of BullMQ's stacktrace."""
        told = getattr(self.error, _TOLD, None)
        if isinstance(told, str):
            return told
        return trace_of(self.error)


def tell_trace(error: Exception, trace: str) -> Exception:
    """Give *error* the trace of the one in another process that it stands for."""
    setattr(error, _TOLD, trace)
    return error


def completed(record: JobRecord, token: str, result: str) -> Finish:
    """Settle a job that gave *result* (JSON text)."""
    return Finish(record.id, token, {}, completed=True, value=result, terms=record.terms.completed)


def failed(record: JobRecord, token: str, failure: Failure) -> Settlement:
    """Settle a failed attempt: try again now or later, or fail the job for good."""
    terms = record.terms
    options = terms.options or {}
    wait_ms = None
    if failure.retriable:
        made = failure.counted or record.attempts_made + 1
        if made < terms.attempts:
            wait_ms = failure.wait_ms
            if wait_ms is None:
                wait_ms = wait_after(failure.error, options.get("backoff"), made)
    fields = {
        "failedReason": failure.reason,
        "stacktrace": json.dumps(_stacktrace(record, options, failure.trace)),
        **_counted(record),
        **failure.fields,
    }
    if wait_ms is not None:
        return _again(record, token, fields, options, wait_ms)
    reason = failure.reason
    return Finish(record.id, token, fields, completed=False, value=reason, terms=terms.failed)


def _again(
    record: JobRecord, token: str, fields: dict[str, str], options: dict[str, Any], wait_ms: int
) -> Settlement:
    if wait_ms:
        return Delay(record.id, token, fields, delay_ms=wait_ms)
    return Retry(record.id, token, fields, lifo=bool(options.get("lifo")))


def _stacktrace(record: JobRecord, options: dict[str, Any], trace: str) -> list[str]:
    """Append *trace*, oldest first as Node keeps them, within the job's stackTraceLimit."""
    try:
        traces = [*record.stacktrace, trace]
    except CorruptRecord:
        traces = [trace]
    limit = options.get("stackTraceLimit")
    if limit == 0:
        return []
    return traces[-limit:] if isinstance(limit, int) and limit > 0 else traces


def _counted(record: JobRecord) -> dict[str, str]:
    """Give a count of attempts that the script can add to, where the stored one is no number."""
    try:
        _ = record.attempts_made
    except CorruptRecord:
        return {"atm": "0"}
    return {}

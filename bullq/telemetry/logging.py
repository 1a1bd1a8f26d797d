"""One readable line per thing that happened, or JSON lines on request."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any, Literal, TextIO

import structlog

from bullq.clock import format_ms
from bullq.telemetry.hooks import CanaryEvent, DispatchEvent, JobEvent, Observer


class LoggingObserver(Observer):
    """Writes what a worker does to *stream*, one line each."""

    def __init__(
        self,
        style: Literal["text", "json"] = "text",
        level: str = "info",
        stream: TextIO | None = None,
    ) -> None:
        number = logging.getLevelNamesMapping()[level.upper()]
        render = _render_text if style == "text" else structlog.processors.JSONRenderer()
        stamp = _stamp_text if style == "text" else structlog.processors.TimeStamper("iso")
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(stream or sys.stderr),
            processors=[structlog.processors.add_log_level, stamp, render],
            wrapper_class=structlog.make_filtering_bound_logger(number),
        )
        if number > logging.DEBUG:
            self.job_started = super().job_started  # type: ignore[method-assign] # hears nothing
            self.locks_renewed = super().locks_renewed  # type: ignore[method-assign] # same

    def note(self, message: str, **facts: Any) -> None:
        """Log something that is no event of a worker."""
        self._log.info(message, **facts)

    def worker_started(self, queue: str, worker: str, concurrency: int) -> None:
        """Log that a worker listens."""
        self._log.info("worker started", queue=queue, worker=worker, concurrency=concurrency)

    def worker_stopping(self, queue: str, running: int, drain_ms: int) -> None:
        """Log that a worker claims no more."""
        self._log.info("worker stopping", queue=queue, running=running, drain=format_ms(drain_ms))

    def worker_stopped(self, queue: str, returned: int) -> None:
        """Log that a worker has ended."""
        self._log.info("worker stopped", queue=queue, returned=returned)

    def job_started(self, job: JobEvent) -> None:
        """Log the start of an attempt, at debug level."""
        self._log.debug("started", **_of(job))

    def job_completed(self, job: JobEvent) -> None:
        """Log a completed job."""
        self._log.info("completed", **_of(job))

    def job_failed(self, job: JobEvent, reason: str) -> None:
        """Log a job that failed for good."""
        self._log.error("failed", **_of(job), reason=reason)

    def job_retried(self, job: JobEvent, reason: str, delay_ms: int) -> None:
        """Log an attempt that failed with more to come."""
        self._log.warning("retrying", **_of(job), reason=reason, again_in=format_ms(delay_ms))

    def job_parked(self, job: JobEvent) -> None:
        """Log a job that waits for something."""
        self._log.info("parked", **_of(job))

    def job_returned(self, job: JobEvent) -> None:
        """Log a job that went back to its queue."""
        self._log.info("returned", **_of(job))

    def job_lost(self, job: JobEvent, reason: str) -> None:
        """Log a job that is no longer this worker's."""
        self._log.error("lost", **_of(job), reason=reason)

    def job_discarded(self, queue: str, job_id: str) -> None:
        """Log an id without a job."""
        self._log.warning("discarded an id without a job", queue=queue, id=job_id)

    def locks_renewed(self, queue: str, job_ids: list[str]) -> None:
        """Log locks that were renewed, at debug level."""
        self._log.debug("locks renewed", queue=queue, ids=", ".join(job_ids))

    def jobs_stalled(self, queue: str, job_ids: list[str]) -> None:
        """Log jobs taken back from silent workers."""
        self._log.warning("took back stalled jobs", queue=queue, ids=", ".join(job_ids))

    def jobs_rerouted(self, queue: str, job_ids: list[str]) -> None:
        """Log jobs that leave for Inngest."""
        self._log.warning(
            "sent to Inngest, as no worker began them in time", queue=queue, ids=", ".join(job_ids)
        )

    def job_dispatched(self, dispatch: DispatchEvent) -> None:
        """Log a job that BullMQ has not got; others at debug level."""
        facts = {
            "queue": dispatch.queue,
            "name": dispatch.name,
            "id": dispatch.id,
            "engine": dispatch.engine or "none",
            "state": dispatch.state,
            "why": dispatch.reason or "-",
            "took": format_ms(dispatch.took_ms),
        }
        if dispatch.engine == "bullmq":
            self._log.debug("dispatched", **facts)
        elif dispatch.engine:
            self._log.warning("fell back", **facts)
        else:
            self._log.error("not dispatched", **facts)

    def breaker_changed(self, engine: str, state: str) -> None:
        """Log that an engine is spared, or used again."""
        self._log.warning("breaker", engine=engine, state=state)

    def outbox_changed(self, count: int, oldest_ms: int) -> None:
        """Log what the outbox keeps."""
        self._log.warning("outbox", jobs=count, oldest=format_ms(oldest_ms))

    def canary_came(self, canary: CanaryEvent) -> None:
        """Log a canary that did not come back; others at debug level."""
        facts = {"queue": canary.queue, "engine": canary.engine, "took": format_ms(canary.took_ms)}
        if canary.came is False:
            self._log.error("canary died", **facts, reason=canary.reason)
        else:
            self._log.debug("canary" if canary.came else "canary not sent", **facts)

    def redis_lost(self, queue: str, reason: str) -> None:
        """Log that Redis does not serve."""
        self._log.error("redis lost", queue=queue, reason=reason)

    def redis_back(self, queue: str, outage_ms: int) -> None:
        """Log that Redis serves again."""
        self._log.warning("redis back", queue=queue, after=format_ms(outage_ms))

    def schedule_changed(self, queue: str, schedule_id: str, change: str) -> None:
        """Log a change of a schedule."""
        self._log.info(f"schedule {change}", queue=queue, schedule=schedule_id)

    def loop_blocked(self, queue: str, lag_ms: float, job: JobEvent | None) -> None:
        """Log that a job blocks the event loop."""
        by = {} if job is None else {"by": f"{job.queue}/{job.name}", "id": job.id}
        self._log.warning("event loop blocked", queue=queue, since=format_ms(lag_ms), **by)

    def process_started(self, number: int, pid: int) -> None:
        """Log the start of a worker process."""
        self._log.info("process started", number=number, pid=pid)

    def process_ended(self, number: int, pid: int, how: str, again_in_ms: int | None) -> None:
        """Log that a worker process ended in order."""
        self._log.info("process ended", **_process(number, pid, again_in_ms), reason=how)

    def process_died(self, number: int, pid: int, how: str, again_in_ms: int | None) -> None:
        """Log how a worker process died."""
        self._log.error("process died", **_process(number, pid, again_in_ms), reason=how)

    def trouble(self, queue: str, message: str, error: BaseException | None = None) -> None:
        """Log something that ends no job and no worker."""
        reason = "" if error is None else f"{type(error).__name__}: {error}"
        self._log.error(message, queue=queue, **({"reason": reason} if reason else {}))


def _of(job: JobEvent) -> dict[str, Any]:
    return {
        "job": f"{job.queue}/{job.name}",
        "id": job.id,
        "attempt": job.attempt,
        "attempts": job.attempts,
        "waited_ms": job.waited_ms,
        "ran_ms": round(job.ran_ms, 1),
    }


def _process(number: int, pid: int, again_in_ms: int | None) -> dict[str, Any]:
    again = {} if again_in_ms is None else {"again_in": format_ms(again_in_ms)}
    return {"number": number, "pid": pid, **again}


def _stamp_text(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    now = datetime.now().astimezone()
    event["timestamp"] = f"{now:%H:%M:%S}.{now.microsecond // 1000:03}"
    return event


def _render_text(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """Write '12:01:02.123 completed default/send-receipt 01J... in 12 ms'."""
    level = event.pop("level")
    mark = {"error": "! ", "warning": "~ "}.get(level, "")
    parts = [event.pop("timestamp"), f"{mark}{event.pop('event')}"]
    if "job" in event:
        parts += [event.pop("job"), event.pop("id"), f"in {format_ms(event.pop('ran_ms'))}"]
        attempt, attempts = event.pop("attempt"), event.pop("attempts")
        event.pop("waited_ms")
        if attempt > 1 or level != "info":
            parts.append(f"(attempt {attempt} of {attempts})")
    reason = event.pop("reason", None)
    parts += [f"{name}={value}" for name, value in event.items()]
    text = " ".join(parts) + (f": {reason}" if reason else "")
    return " ".join(text.split())  # one line, whatever line breaks a job's name or error has

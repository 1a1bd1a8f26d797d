"""Log each job that leaves BullMQ, and each engine that is spared, where nobody else listens."""

from __future__ import annotations

import logging

from bullq.telemetry.hooks import DispatchEvent, Observer

_log = logging.getLogger("bullq")


class FallbackLog(Observer):
    """Writes one line of facts each to Python's own log, under the name `bullq`.

    Handlers that write records for programs find the facts in the record's field `bullq`.
    """

    def job_dispatched(self, dispatch: DispatchEvent) -> None:
        """Log a job that BullMQ has not got."""
        if dispatch.engine != "bullmq":
            _log.warning(
                "fell back: engine=%s state=%s reason=%s job=%s/%s id=%s took_ms=%.1f",
                dispatch.engine or "none",
                dispatch.state,
                dispatch.reason or "-",
                dispatch.queue,
                dispatch.name,
                dispatch.id,
                dispatch.took_ms,
                extra={"bullq": dispatch._asdict()},
            )

    def breaker_changed(self, engine: str, state: str) -> None:
        """Log that an engine is spared, or used again."""
        facts = {"engine": engine, "state": state}
        _log.warning("breaker: engine=%s state=%s", engine, state, extra={"bullq": facts})

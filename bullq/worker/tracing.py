"""An execution that OpenTelemetry sees: a span around the attempt, one around its record."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from bullq.protocol.codes import explain
from bullq.protocol.record import CorruptRecord, JobRecord
from bullq.store.scripts import Delay, Finish, Return, Settlement
from bullq.telemetry import otel
from bullq.worker.execution import Execution

if TYPE_CHECKING:
    from bullq.worker.execution import ExecutionFactory


def traced(telemetry: otel.OpenTelemetry) -> ExecutionFactory:
    """Give what makes one worker's executions, all traced by *telemetry*."""
    worker_id = str(uuid.uuid4())

    def make(*given: Any) -> Execution:
        return TracedExecution(telemetry, worker_id, *given)

    return make


class TracedExecution(Execution):
    """An attempt with its spans: they end when Redis has answered to its outcome."""

    def __init__(self, telemetry: otel.OpenTelemetry, worker_id: str, *given: Any) -> None:
        super().__init__(*given)
        record = self.record
        job = {
            otel.WORKER_ID: worker_id,
            otel.WORKER_NAME: record.fields.get("pb", ""),
            otel.JOB_ID: record.id,
            otel.JOB_NAME: record.name,
        }
        self._attempt = telemetry.attempt(job, self._queue.spec.name, _option(record, "tm"))
        self._result_text = ""

    async def perform(self) -> Settlement | None:
        """Run the attempt as the parent of all spans that the job's own code makes."""
        settlement: Settlement | None = None
        try:
            with self._attempt.running():
                settlement = await super().perform()
        finally:
            if settlement is None and self.settlement is None:
                self._finish()
        return settlement

    def end(self, settlement: Settlement) -> None:
        """Begin the span of the record; a job that will run again, or has failed, carries it on."""
        super().end(settlement)
        if isinstance(settlement, Return):
            return
        carrier = self._attempt.record(_operation(settlement))
        if not _has_completed(settlement) and not _option(self.record, "omc"):
            settlement.fields["tm"] = carrier

    def recorded(self, settlement: Settlement, answer: int | str) -> None:
        """End the spans, and count."""
        if isinstance(answer, str) or answer < 0:
            reason = answer if isinstance(answer, str) else explain(answer)
            self._attempt.refused(reason)
        else:
            self._attempt.count(_state(settlement), self.ended.ran_ms)
            if isinstance(settlement, Finish) and settlement.completed:
                told = {otel.JOB_RESULT: settlement.value}
                self._attempt.recorded("job completed", told, self.began.attempt)
            elif not isinstance(settlement, Return):
                told = {otel.FAILED_REASON: settlement.fields.get("failedReason", "")}
                self._attempt.recorded("job failed", told, self.began.attempt)
        self._finish()

    def _finish(self) -> None:
        try:
            processed_ms = self.record.processed_on
        except CorruptRecord:
            processed_ms = 0
        self._attempt.end(processed_ms)


def _has_completed(settlement: Settlement) -> bool:
    return isinstance(settlement, Finish) and settlement.completed


def _operation(settlement: Settlement) -> str:
    """Name what records an outcome as Node does."""
    if isinstance(settlement, Finish):
        return "complete" if settlement.completed else "fail"
    return "delay" if isinstance(settlement, Delay) else "retry"


def _state(settlement: Settlement) -> str:
    """Name the state in which an attempt leaves its job as Node counts it."""
    if isinstance(settlement, Finish):
        return "completed" if settlement.completed else "failed"
    if isinstance(settlement, Return):
        return "waiting"
    return "delayed" if isinstance(settlement, Delay) else "retried"


def _option(record: JobRecord, name: str) -> Any:
    """Give an option of the job; None where it has none, or its options cannot be read."""
    try:
        return record.options.get(name)
    except CorruptRecord:
        return None

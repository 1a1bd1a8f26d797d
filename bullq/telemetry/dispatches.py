"""Metrics of dispatches in OpenTelemetry: which engine, why, how soon, and what was spared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bullq.telemetry.hooks import CanaryEvent, DispatchEvent, Observer

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

_QUEUE = "bullmq.queue.name"
_NAME = "bullmq.job.name"
_ENGINE = "bullq.engine"
_STATE = "bullq.state"
_REASON = "bullq.reason"


class DispatchMetrics(Observer):
    """Hears how dispatches end, and makes metrics of it by *meter*."""

    def __init__(self, meter: Meter) -> None:
        counter, gauge = meter.create_counter, meter.create_gauge
        self._dispatches = counter("bullq.dispatches", "1", "Dispatches that could fall back")
        self._pickup = meter.create_histogram(
            "bullq.dispatch.pickup", "ms", "How long workers took to begin jobs"
        )
        self._rerouted = counter("bullq.jobs.rerouted", "1", "Jobs sent on by a sweeper")
        self._spared = gauge("bullq.breaker.open", "1", "1 while an engine is spared")
        self._changes = counter("bullq.breaker.changes", "1", "Changes of a breaker's state")
        self._kept = gauge("bullq.outbox.jobs", "{jobs}", "Jobs in the outbox")
        self._oldest = gauge("bullq.outbox.oldest", "s", "How long the oldest of them is there")
        self._canary = gauge("bullq.canary.up", "1", "1 where the last canary came back")

    def job_dispatched(self, dispatch: DispatchEvent) -> None:
        """Count a dispatch; with the state 'in-doubt' where nobody knows what came of it."""
        job = {_QUEUE: dispatch.queue, _NAME: dispatch.name}
        where = {_ENGINE: dispatch.engine or "none", _STATE: dispatch.state}
        self._dispatches.add(1, {**job, **where, _REASON: dispatch.reason})
        if dispatch.pickup_ms is not None:
            self._pickup.record(dispatch.pickup_ms, job)

    def jobs_rerouted(self, queue: str, job_ids: list[str]) -> None:
        """Count jobs that no worker has begun in time."""
        self._rerouted.add(len(job_ids), {_QUEUE: queue})

    def breaker_changed(self, engine: str, state: str) -> None:
        """Say whether an engine is spared, and count the change."""
        self._spared.set(int(state != "closed"), {_ENGINE: engine})
        self._changes.add(1, {_ENGINE: engine, _STATE: state})

    def outbox_changed(self, count: int, oldest_ms: int) -> None:
        """Say what the outbox keeps."""
        self._kept.set(count)
        self._oldest.set(oldest_ms / 1000)

    def canary_came(self, canary: CanaryEvent) -> None:
        """Say whether a canary came back."""
        if canary.came is not None:
            self._canary.set(int(canary.came), {_QUEUE: canary.queue, _ENGINE: canary.engine})

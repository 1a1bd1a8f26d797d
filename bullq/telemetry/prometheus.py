"""Counts what workers do, for Prometheus to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from bullq.telemetry.hooks import CanaryEvent, DispatchEvent, JobEvent, Observer

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as error:
    raise ImportError(
        "Prometheus' client is not installed. Install it with: pip install 'bullq[prometheus]'"
    ) from error

_RUN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_PICKUP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300)

JOB = ("queue", "name")


class PrometheusObserver(Observer):
    """Hears what the workers of a process do, and counts it in *registry* (None: the default one).

    One observer serves all workers of a process; another one needs a registry of its own.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        where = REGISTRY if registry is None else registry

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(name, what, labels, registry=where)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(name, what, labels, registry=where)

        def histogram(name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, what, JOB, buckets=buckets, registry=where)

        ended = "Attempts of jobs that have ended, by how."
        self._attempts = counter("bullq_attempts_total", ended, *JOB, "outcome")
        self._seconds = histogram("bullq_job_seconds", "How long attempts ran.", _RUN_BUCKETS)
        due = "How long jobs were due before a worker began them."
        self._pickup = histogram("bullq_pickup_seconds", due, _PICKUP_BUCKETS)
        running = "Jobs that run in this process now."
        self._running = gauge("bullq_jobs_running", running, "queue")
        stalled = "Jobs taken back from workers that had gone silent."
        self._stalled = counter("bullq_jobs_stalled_total", stalled, "queue")
        serves = "1 while Redis serves the worker, 0 else."
        self._redis_up = gauge("bullq_redis_up", serves, "queue")
        outage = "For how long Redis did not serve the worker, of outages that are over."
        self._outage = counter("bullq_redis_outage_seconds_total", outage, "queue")
        blocked = "How often a job has blocked the event loop."
        self._blocked = counter("bullq_loop_blocked_total", blocked, "queue")
        self._count_dispatches(counter, gauge, histogram)
        self._begun: defaultdict[str, set[str]] = defaultdict(set)

    def _count_dispatches(
        self,
        counter: Callable[..., Counter],
        gauge: Callable[..., Gauge],
        histogram: Callable[..., Histogram],
    ) -> None:
        """Make what counts dispatches."""
        ended = "Dispatches that could fall back, by the engine that has the job, and why."
        self._dispatches = counter(
            "bullq_dispatches_total", ended, *JOB, "engine", "state", "reason"
        )
        took = "How long workers took to begin jobs whose dispatch waited for that."
        self._begins = histogram("bullq_dispatch_pickup_seconds", took, _PICKUP_BUCKETS)
        spared = "1 while an engine is spared or tried again after it has failed, 0 else."
        self._breakers = gauge("bullq_breaker_open", spared, "engine")
        changed = "Changes of an engine's breaker, by the state that it came to."
        self._changes = counter("bullq_breaker_changes_total", changed, "engine", "state")
        rerouted = "Jobs that no worker has begun in time, and that a sweeper sent to Inngest."
        self._rerouted = counter("bullq_jobs_rerouted_total", rerouted, "queue")
        self._kept = gauge("bullq_outbox_jobs", "Jobs in the outbox.")
        self._oldest = gauge("bullq_outbox_oldest_seconds", "How long the oldest of them is there.")
        alive = "1 where the last canary of a queue and engine came back, 0 where it did not."
        self._canaries = gauge("bullq_canary_up", alive, "queue", "engine")
        self._canary_took = gauge(
            "bullq_canary_seconds", "How long the last one took that came back.", "queue", "engine"
        )

    def job_dispatched(self, dispatch: DispatchEvent) -> None:
        """Count a dispatch."""
        labels = (dispatch.queue, dispatch.name)
        self._dispatches.labels(
            *labels, dispatch.engine or "none", dispatch.state, dispatch.reason
        ).inc()
        if dispatch.pickup_ms is not None:
            self._begins.labels(*labels).observe(dispatch.pickup_ms / 1000)

    def breaker_changed(self, engine: str, state: str) -> None:
        """Say whether an engine is spared, and count the change."""
        self._changes.labels(engine, state).inc()
        self._breakers.labels(engine).set(state != "closed")

    def jobs_rerouted(self, queue: str, job_ids: list[str]) -> None:
        """Count jobs that were sent on."""
        self._rerouted.labels(queue).inc(len(job_ids))

    def outbox_changed(self, count: int, oldest_ms: int) -> None:
        """Say what the outbox keeps."""
        self._kept.set(count)
        self._oldest.set(oldest_ms / 1000)

    def canary_came(self, canary: CanaryEvent) -> None:
        """Say whether a canary came back; what could not be told leaves things as they were."""
        if canary.came is not None:
            self._canaries.labels(canary.queue, canary.engine).set(canary.came)
        if canary.came:
            self._canary_took.labels(canary.queue, canary.engine).set(canary.took_ms / 1000)

    def worker_started(self, queue: str, worker: str, concurrency: int) -> None:  # noqa: ARG002
        """Show the queue from the start on, with what has not happened yet."""
        self._redis_up.labels(queue).set(1)
        self._running.labels(queue).set(0)
        self._stalled.labels(queue)
        self._outage.labels(queue)

    def worker_stopped(self, queue: str, returned: int) -> None:  # noqa: ARG002
        """Forget what was running."""
        self._begun.pop(queue, None)
        self._running.labels(queue).set(0)

    def job_started(self, job: JobEvent) -> None:
        """Count a job as running; at its first attempt, how long it had to wait."""
        self._begun[job.queue].add(job.id)
        self._running.labels(job.queue).set(len(self._begun[job.queue]))
        if job.attempt == 1:
            self._pickup.labels(job.queue, job.name).observe(job.waited_ms / 1000)

    def job_completed(self, job: JobEvent) -> None:
        """Count a completed job."""
        self._end(job, "completed")

    def job_failed(self, job: JobEvent, reason: str) -> None:  # noqa: ARG002 - may be anything
        """Count a job that failed for good."""
        self._end(job, "failed")

    def job_retried(self, job: JobEvent, reason: str, delay_ms: int) -> None:  # noqa: ARG002
        """Count an attempt that failed with more to come."""
        self._end(job, "retried")

    def job_parked(self, job: JobEvent) -> None:
        """Count a job that waits for something."""
        self._end(job, "parked")

    def job_returned(self, job: JobEvent) -> None:
        """Count a job that went back to its queue."""
        self._end(job, "returned")

    def job_lost(self, job: JobEvent, reason: str) -> None:  # noqa: ARG002
        """Count a job that is no longer this worker's."""
        self._end(job, "lost")

    def jobs_stalled(self, queue: str, job_ids: list[str]) -> None:
        """Count jobs taken back."""
        self._stalled.labels(queue).inc(len(job_ids))

    def redis_lost(self, queue: str, reason: str) -> None:  # noqa: ARG002
        """Say that Redis does not serve."""
        self._redis_up.labels(queue).set(0)

    def redis_back(self, queue: str, outage_ms: int) -> None:
        """Say that Redis serves again, and count for how long it did not."""
        self._redis_up.labels(queue).set(1)
        self._outage.labels(queue).inc(outage_ms / 1000)

    def loop_blocked(self, queue: str, lag_ms: float, job: JobEvent | None) -> None:  # noqa: ARG002
        """Count a blocked event loop."""
        self._blocked.labels(queue).inc()

    def _end(self, job: JobEvent, outcome: str) -> None:
        begun = self._begun[job.queue]
        begun.discard(job.id)
        self._running.labels(job.queue).set(len(begun))
        self._attempts.labels(job.queue, job.name, outcome).inc()
        self._seconds.labels(job.queue, job.name).observe(job.ran_ms / 1000)

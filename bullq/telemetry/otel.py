"""Spans and metrics in OpenTelemetry, by the names and in the shape of Node's bullmq-otel.

A job carries the context of the span that added it in its option `tm`: the W3C headers, as JSON.
Node's BullMQ writes and reads the same, so that a trace goes on from language to language.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias, TypeVar

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter, MeterProvider, get_meter, get_meter_provider
    from opentelemetry.trace import Span, SpanKind, TracerProvider
except ImportError as error:
    raise ImportError(
        "OpenTelemetry's API is not installed. Install it with: pip install 'bullq[otel]'"
    ) from error

from bullq.telemetry.dispatches import DispatchMetrics

Attributes: TypeAlias = Mapping[str, "str | int | float | bool | list[str]"]

State = TypeVar("State", bound=str)

QUEUE = "bullmq.queue.name"
JOBS_STATE = "bullmq.queue.jobs.state"
OPERATION = "bullmq.queue.operation"
BULK_COUNT = "bullmq.job.bulk.count"
BULK_NAMES = "bullmq.job.bulk.names"
JOB_ID = "bullmq.job.id"
JOB_NAME = "bullmq.job.name"
FLOW_NAME = "bullmq.flow.name"
JOB_STATE = "bullmq.job.state"
JOB_RESULT = "bullmq.job.result"
FAILED_REASON = "bullmq.job.failed.reason"
ATTEMPTS_MADE = "bullmq.job.attempts.made"
PROCESSED = "bullmq.job.processed.timestamp"
FINISHED = "bullmq.job.attempt_finished_timestamp"
WORKER_ID = "bullmq.worker.id"
WORKER_NAME = "bullmq.worker.name"

_COUNTERS = {
    state: f"bullmq.jobs.{state}"
    for state in ("completed", "failed", "delayed", "retried", "waiting")
}
"""What is counted, by the state in which an attempt leaves its job."""


class OpenTelemetry:
    """Makes spans, and metrics where *metrics* says so.

    The SDK, and where it sends what is made, is yours: its providers are taken at the first span
    from where it registers them, unless you give your own.
    """

    def __init__(
        self,
        *,
        metrics: bool = False,
        tracer_name: str = "bullmq",
        meter_name: str = "bullmq",
        version: str | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._providers = (tracer_provider, meter_provider)
        self._tracer = trace.get_tracer(tracer_name, version, tracer_provider)
        self._metrics: _Metrics | None = None
        self.dispatches: DispatchMetrics | None = None
        """What makes metrics of dispatches, where there are metrics."""
        if metrics:
            meter = get_meter(meter_name, version or "", meter_provider)
            self._metrics = _Metrics(meter)
            self.dispatches = DispatchMetrics(meter)

    def record_job_counts(self, queue: str, counts: Mapping[State, int]) -> None:
        """Gauge how many jobs a queue has in each state: `await app.queue(...).view.counts()`."""
        if self._metrics is not None:
            self._metrics.gauge(queue, counts)

    def flush(self, timeout_ms: int) -> None:
        """Have the SDK send what it has collected, within *timeout_ms*; blocks meanwhile."""
        tracers, meters = self._providers
        for provider in (tracers or trace.get_tracer_provider(), meters or get_meter_provider()):
            # The API alone has nothing to send.
            if (force := getattr(provider, "force_flush", None)) is not None:
                force(timeout_ms)

    @contextlib.contextmanager
    def sending(self, operation: str, queue: str, destination: str) -> Iterator[Sending]:
        """Make a span around what puts jobs on *queue*; the jobs are to carry its carrier."""
        with self._tracer.start_as_current_span(
            f"{operation} {destination}",
            kind=SpanKind.PRODUCER,
            attributes={QUEUE: queue, OPERATION: operation},
            set_status_on_exception=False,
        ) as span:
            yield Sending(span, _carrier(context.get_current()))

    def attempt(self, job: Attributes, queue: str, carrier: str | None) -> Attempt:
        """Make a span for an attempt of a job, which carries *carrier*, or nothing."""
        return Attempt(self._tracer, self._metrics, job, queue, carrier)


class Sending(NamedTuple):
    """A span that puts jobs on a queue, and what they are to carry."""

    span: Span
    carrier: str


class Attempt:
    """The spans of one attempt of a job: `process`, and in it the one that records the outcome."""

    def __init__(
        self,
        tracer: trace.Tracer,
        metrics: _Metrics | None,
        job: Attributes,
        queue: str,
        carrier: str | None,
    ) -> None:
        self._tracer = tracer
        self._metrics = metrics
        self._job = job
        self._queue = queue
        parent = _extracted(carrier)
        self._span = self._begin("process", SpanKind.CONSUMER, parent)
        self._span.set_attributes(job)
        self._context = trace.set_span_in_context(self._span, parent)
        self._recording: Span | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Make the attempt what spans of the job's own code belong to."""
        token = context.attach(self._context)
        try:
            yield
        finally:
            context.detach(token)

    def record(self, operation: str) -> str:
        """Begin to record the outcome, and give what the job is to carry from now on."""
        self._end_recording(None)
        self._recording = self._begin(operation, SpanKind.INTERNAL, self._context)
        self._recording.set_attributes({key: self._job[key] for key in (JOB_NAME, JOB_ID)})
        return _carrier(trace.set_span_in_context(self._recording, self._context))

    def recorded(self, event: str, told: Attributes, attempts_made: int) -> None:
        """Note that the outcome is on record."""
        self._end_recording(None)
        self._span.add_event(event, told)
        self._span.set_attribute(ATTEMPTS_MADE, attempts_made)

    def refused(self, reason: str) -> None:
        """Note that the outcome could not be recorded."""
        self._end_recording(reason)

    def count(self, state: str, ran_ms: float) -> None:
        """Count an attempt that left its job in *state* after *ran_ms*."""
        if self._metrics is not None:
            name = self._job[JOB_NAME]
            self._metrics.count({QUEUE: self._queue, JOB_NAME: name, JOB_STATE: state}, ran_ms)

    def end(self, processed_ms: int) -> None:
        """End the attempt, which began at *processed_ms* since the epoch; again does no harm."""
        self._end_recording(None)
        if self._span.is_recording():
            now_ms = time.time_ns() // 1_000_000
            self._span.set_attributes({FINISHED: now_ms, PROCESSED: processed_ms})
            self._span.end()

    def _begin(self, operation: str, kind: SpanKind, parent: Context) -> Span:
        attributes = {QUEUE: self._queue, OPERATION: operation}
        return self._tracer.start_span(
            f"{operation} {self._queue}", context=parent, kind=kind, attributes=attributes
        )

    def _end_recording(self, problem: str | None) -> None:
        if self._recording is None:
            return
        if problem is not None:
            self._recording.record_exception(RuntimeError(problem))
        self._recording.end()
        self._recording = None


class _Metrics:
    """Counts attempts, and how long they took."""

    def __init__(self, meter: Meter) -> None:
        self._counters = {
            state: meter.create_counter(name, "1", f"Number of jobs {state}")
            for state, name in _COUNTERS.items()
        }
        self._duration = meter.create_histogram(
            "bullmq.job.duration", "ms", "Job processing duration"
        )
        self._jobs = meter.create_gauge(
            "bullmq.queue.jobs", "{jobs}", "Number of jobs in the queue by state"
        )

    def gauge(self, queue: str, counts: Mapping[State, int]) -> None:
        for state, count in counts.items():
            self._jobs.set(count, {QUEUE: queue, JOBS_STATE: str(state)})

    def count(self, attributes: Attributes, ran_ms: float) -> None:
        self._counters[str(attributes[JOB_STATE])].add(1, attributes)
        self._duration.record(ran_ms, attributes)


def _carrier(current: Context) -> str:
    """Write a context as jobs carry it."""
    headers: dict[str, str] = {}
    propagate.inject(headers, current)
    return json.dumps(headers, separators=(",", ":"))


def _extracted(carrier: str | None) -> Context:
    """Read a context that a job carries; what cannot be read is none."""
    current = context.get_current()
    if carrier is None:
        return current
    try:
        return propagate.extract(json.loads(carrier), current)
    except (ValueError, TypeError, AttributeError):
        return current

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from bullq.telemetry.fallbacks import FallbackLog
from bullq.telemetry.hooks import CanaryEvent, DispatchEvent
from bullq.telemetry.otel import OpenTelemetry

BEGUN = DispatchEvent("default", "mail", "1", "bullmq", "started", "", 3, 2.0)
FELL = DispatchEvent("default", "mail", "2", "inngest", "sent", "no-workers", 30)
DOUBT = DispatchEvent("default", "mail", "3", "", "in-doubt", "redis-cut", 9)


def _measured(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """Give the points of each metric: attributes, and the value or the count."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: [
            (dict(point.attributes or {}), getattr(point, "value", getattr(point, "count", None)))
            for point in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_dispatches_are_measured_by_engine_and_reason() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    observer = OpenTelemetry(metrics=True, meter_provider=provider).dispatches
    assert observer is not None
    for event in (BEGUN, FELL, FELL, DOUBT):
        observer.job_dispatched(event)
    observer.breaker_changed("bullmq", "open")
    observer.outbox_changed(4, 2_500)
    observer.jobs_rerouted("default", ["1", "2"])
    observer.canary_came(CanaryEvent("default", "inngest", came=None, took_ms=1, reason="away"))
    told = _measured(reader)
    job = {"bullmq.queue.name": "default", "bullmq.job.name": "mail"}
    counted = {
        (point["bullq.engine"], point["bullq.state"], point["bullq.reason"]): value
        for point, value in told["bullq.dispatches"]
    }
    assert counted == {
        ("bullmq", "started", ""): 1,
        ("inngest", "sent", "no-workers"): 2,
        ("none", "in-doubt", "redis-cut"): 1,
    }
    assert told["bullq.dispatch.pickup"] == [(job, 1)]
    assert told["bullq.breaker.open"] == [({"bullq.engine": "bullmq"}, 1)]
    opened = {"bullq.engine": "bullmq", "bullq.state": "open"}
    assert told["bullq.breaker.changes"] == [(opened, 1)]
    assert told["bullq.outbox.jobs"] == [({}, 4)]
    assert told["bullq.outbox.oldest"] == [({}, 2.5)]
    assert told["bullq.jobs.rerouted"] == [({"bullmq.queue.name": "default"}, 2)]
    assert "bullq.canary.up" not in told
    observer.canary_came(CanaryEvent("default", "inngest", came=False, took_ms=1, reason="dead"))
    observer.breaker_changed("bullmq", "closed")
    told = _measured(reader)
    where = {"bullmq.queue.name": "default", "bullq.engine": "inngest"}
    assert told["bullq.canary.up"] == [(where, 0)]
    assert told["bullq.breaker.open"] == [({"bullq.engine": "bullmq"}, 0)]
    provider.shutdown()


def test_without_metrics_there_are_none() -> None:
    assert OpenTelemetry().dispatches is None


def test_a_fallback_is_one_line_with_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    log = FallbackLog()
    with caplog.at_level(logging.INFO, "bullq"):
        for event in (BEGUN, FELL):
            log.job_dispatched(event)
        log.breaker_changed("bullmq", "open")
    fell, breaker = caplog.records
    assert fell.getMessage() == (
        "fell back: engine=inngest state=sent reason=no-workers job=default/mail id=2 took_ms=30.0"
    )
    assert vars(fell)["bullq"] == FELL._asdict()
    assert vars(breaker)["bullq"] == {"engine": "bullmq", "state": "open"}

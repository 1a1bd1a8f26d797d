from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from bullq.telemetry.hooks import CanaryEvent, DispatchEvent, JobEvent
from bullq.telemetry.prometheus import PrometheusObserver

JOB = {"queue": "default", "name": "mail"}


def event(id: str = "1", attempt: int = 1, waited_ms: int = 0, ran_ms: float = 0.0) -> JobEvent:  # noqa: A002
    return JobEvent("default", "mail", id, attempt, 3, waited_ms, ran_ms)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def observer(registry: CollectorRegistry) -> PrometheusObserver:
    return PrometheusObserver(registry)


@pytest.mark.parametrize(
    ("outcome", "call", "more"),
    [
        ("completed", "job_completed", []),
        ("failed", "job_failed", ["no money"]),
        ("retried", "job_retried", ["busy", 5]),
        ("parked", "job_parked", []),
        ("returned", "job_returned", []),
        ("lost", "job_lost", ["its lock is lost"]),
    ],
)
def test_an_attempt_is_running_and_then_counted_by_its_outcome(
    registry: CollectorRegistry,
    observer: PrometheusObserver,
    outcome: str,
    call: str,
    more: list[object],
) -> None:
    observer.job_started(event("1"))
    observer.job_started(event("2"))
    assert registry.get_sample_value("bullq_jobs_running", {"queue": "default"}) == 2
    getattr(observer, call)(event("1", ran_ms=30), *more)
    assert registry.get_sample_value("bullq_jobs_running", {"queue": "default"}) == 1
    labels = {**JOB, "outcome": outcome}
    assert registry.get_sample_value("bullq_attempts_total", labels) == 1
    assert registry.get_sample_value("bullq_job_seconds_sum", JOB) == pytest.approx(0.03)
    assert registry.get_sample_value("bullq_job_seconds_bucket", {**JOB, "le": "0.05"}) == 1
    assert registry.get_sample_value("bullq_job_seconds_bucket", {**JOB, "le": "0.025"}) == 0


def test_only_a_first_attempt_was_waiting(
    registry: CollectorRegistry, observer: PrometheusObserver
) -> None:
    observer.job_started(event(waited_ms=20))
    observer.job_started(event(attempt=2))
    assert registry.get_sample_value("bullq_pickup_seconds_count", JOB) == 1
    assert registry.get_sample_value("bullq_pickup_seconds_sum", JOB) == pytest.approx(0.02)


def test_a_worker_s_queue_is_shown_from_its_start(
    registry: CollectorRegistry, observer: PrometheusObserver
) -> None:
    observer.worker_started("default", "w", 5)
    shown = {
        name: registry.get_sample_value(name, {"queue": "default"})
        for name in (
            "bullq_jobs_running",
            "bullq_redis_up",
            "bullq_jobs_stalled_total",
            "bullq_redis_outage_seconds_total",
        )
    }
    assert list(shown.values()) == [0, 1, 0, 0]


def test_a_worker_that_has_stopped_runs_nothing(
    registry: CollectorRegistry, observer: PrometheusObserver
) -> None:
    observer.job_started(event())
    observer.worker_stopped("default", 0)
    assert registry.get_sample_value("bullq_jobs_running", {"queue": "default"}) == 0


def test_outages_stalled_jobs_and_blocked_loops_are_counted(
    registry: CollectorRegistry, observer: PrometheusObserver
) -> None:
    observer.redis_lost("default", "connection refused")
    assert registry.get_sample_value("bullq_redis_up", {"queue": "default"}) == 0
    observer.redis_back("default", 1_500)
    assert registry.get_sample_value("bullq_redis_up", {"queue": "default"}) == 1
    outage = registry.get_sample_value("bullq_redis_outage_seconds_total", {"queue": "default"})
    assert outage == 1.5
    observer.jobs_stalled("default", ["1", "2"])
    assert registry.get_sample_value("bullq_jobs_stalled_total", {"queue": "default"}) == 2
    observer.loop_blocked("default", 300.0, None)
    assert registry.get_sample_value("bullq_loop_blocked_total", {"queue": "default"}) == 1


def test_dispatches_are_counted_by_engine_and_reason(
    registry: CollectorRegistry, observer: PrometheusObserver
) -> None:
    observer.job_dispatched(DispatchEvent("default", "mail", "1", "bullmq", "started", "", 3, 2.0))
    observer.job_dispatched(DispatchEvent("default", "mail", "2", "", "in-doubt", "redis-cut", 9))
    observer.breaker_changed("bullmq", "open")
    observer.outbox_changed(4, 2_500)
    counted = {"engine": "bullmq", "state": "started", "reason": ""}
    doubt = {"engine": "none", "state": "in-doubt", "reason": "redis-cut"}
    for labels in (counted, doubt):
        assert registry.get_sample_value("bullq_dispatches_total", {**JOB, **labels}) == 1
    assert registry.get_sample_value("bullq_dispatch_pickup_seconds_count", JOB) == 1
    assert registry.get_sample_value("bullq_breaker_open", {"engine": "bullmq"}) == 1
    opened = {"engine": "bullmq", "state": "open"}
    assert registry.get_sample_value("bullq_breaker_changes_total", opened) == 1
    observer.jobs_rerouted("default", ["1", "2"])
    assert registry.get_sample_value("bullq_jobs_rerouted_total", {"queue": "default"}) == 2
    assert registry.get_sample_value("bullq_outbox_jobs") == 4
    assert registry.get_sample_value("bullq_outbox_oldest_seconds") == 2.5
    canary = {"queue": "default", "engine": "inngest"}
    observer.canary_came(
        CanaryEvent("default", "inngest", came=None, took_ms=9, reason="Redis is away")
    )
    assert registry.get_sample_value("bullq_canary_up", canary) is None
    observer.canary_came(CanaryEvent("default", "inngest", came=True, took_ms=250, reason=""))
    assert registry.get_sample_value("bullq_canary_up", canary) == 1
    observer.canary_came(
        CanaryEvent("default", "inngest", came=False, took_ms=9_000, reason="nobody has run it")
    )
    assert registry.get_sample_value("bullq_canary_up", canary) == 0
    assert registry.get_sample_value("bullq_canary_seconds", canary) == 0.25
    observer.breaker_changed("bullmq", "closed")
    assert registry.get_sample_value("bullq_breaker_open", {"engine": "bullmq"}) == 0

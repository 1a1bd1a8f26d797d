from __future__ import annotations

from bullq.telemetry.hooks import CanaryEvent
from bullq.telemetry.readiness import WorkerReadiness


def test_a_process_is_ready_while_its_workers_can_work() -> None:
    readiness = WorkerReadiness()
    assert readiness.reason == "no worker has begun yet"
    readiness.worker_started("default", "w", 10)
    assert readiness.told() == {"ready": True, "reason": "", "canaries": {}}
    readiness.redis_lost("default", "refused")
    assert readiness.reason == "Redis does not serve the worker of default: refused"
    readiness.redis_back("default", 10)
    assert not readiness.reason
    readiness.worker_stopping("default", 0, 10)
    assert readiness.reason == "it stops: default"


def test_a_canary_that_died_on_bullmq_makes_it_unready_and_one_at_inngest_is_told() -> None:
    readiness = WorkerReadiness()
    readiness.worker_started("default", "w", 10)
    readiness.canary_came(
        CanaryEvent("default", "inngest", came=False, took_ms=10, reason="nobody has run it")
    )
    readiness.canary_came(CanaryEvent("mail", "bullmq", came=None, took_ms=10, reason="not sent"))
    told = {"default/inngest": False, "mail/bullmq": None}
    assert readiness.told() == {"ready": True, "reason": "", "canaries": told}
    readiness.canary_came(CanaryEvent("default", "bullmq", came=False, took_ms=10, reason="lost"))
    assert readiness.reason == "the last canary of default did not come back: lost"
    readiness.canary_came(CanaryEvent("default", "bullmq", came=True, took_ms=10, reason=""))
    assert not readiness.reason

"""Dispatches of a traced application are measured, whoever else hears of them."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from bullq import Bullq
from bullq.telemetry.otel import OpenTelemetry
from tests.integration.dispatch.conftest import JOBS, QUEUE, Number, SiteFactory, double_it
from tests.support.workers import Recorder, running_worker


async def test_both_engines_are_counted_and_pickup_is_measured(make_site: SiteFactory) -> None:
    site = await make_site()
    reader, recorder = InMemoryMetricReader(), Recorder()
    provider = MeterProvider([reader])
    measured = Bullq(
        jobs=JOBS,
        settings=site.app.settings,
        observer=recorder,
        telemetry=OpenTelemetry(metrics=True, meter_provider=provider),
    )
    fell = await double_it.dispatch(Number(number=1))
    async with running_worker(site.own, QUEUE):
        begun = await double_it.dispatch(Number(number=1))
    assert (fell.engine, begun.engine) == ("inngest", "bullmq")
    await recorder.wait_for("job_dispatched", 2)
    data: Any = reader.get_metrics_data()
    found = {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    engines = {
        point.attributes["bullq.engine"]: (point.attributes["bullq.reason"], point.value)
        for point in found["bullq.dispatches"]
    }
    assert engines == {"inngest": ("no-workers", 1), "bullmq": ("", 1)}
    assert [point.count for point in found["bullq.dispatch.pickup"]] == [1]
    await measured.aclose()
    provider.shutdown()

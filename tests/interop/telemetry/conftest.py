"""Both sides of a trace: a program in Node, and an application here, each with its exporter."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bullq import Bullq, Job
from bullq.settings import Settings
from bullq.telemetry.otel import OpenTelemetry
from tests.support.deadline import DEADLINE
from tests.support.no_silent_skips import NODE, need
from tests.support.servers import RedisServer


class Span(NamedTuple):
    """A span as either side tells it."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str | None
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    scope: str


class Told(NamedTuple):
    """What a side has made: its spans in the order of their ends, and its metrics."""

    spans: list[Span]
    metrics: list[dict[str, Any]]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


class NodeProgram:
    """The program traced.mjs, asked by lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, command: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
        async with asyncio.timeout(DEADLINE):
            line = await self._process.stdout.readline()
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    async def told(self) -> Told:
        """Let its workers end what they do, and give what the program has made."""
        told = await self.ask("told")
        spans = [
            Span(
                **{
                    **span,
                    "kind": KINDS[span["kind"]],
                    "events": [(one["name"], one["attributes"]) for one in span["events"]],
                }
            )
            for span in told["spans"]
        ]
        return Told(spans, told["metrics"])


@pytest.fixture
async def node(valkey: RedisServer, prefix: str) -> AsyncIterator[NodeProgram]:
    need(NODE)
    program = Path(__file__).with_name("traced.mjs")
    process = await asyncio.create_subprocess_exec(
        "node", program, valkey.url, prefix, stdin=PIPE, stdout=PIPE
    )
    try:
        yield NodeProgram(process)
    finally:
        process.kill()
        await process.wait()


@dataclass
class Traced:
    """An application here whose spans and metrics stay in memory."""

    app: Bullq
    exporter: InMemorySpanExporter
    provider: TracerProvider
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def told(self) -> Told:
        spans = [
            Span(
                name=span.name,
                kind=span.kind.name,
                trace=f"{span.context.trace_id:032x}",
                id=f"{span.context.span_id:016x}",
                parent=None if span.parent is None else f"{span.parent.span_id:016x}",
                attributes=dict(span.attributes or {}),
                events=[(event.name, dict(event.attributes or {})) for event in span.events],
                scope="" if span.instrumentation_scope is None else span.instrumentation_scope.name,
            )
            for span in self.exporter.get_finished_spans()
        ]
        return Told(spans, self._measured())

    def _measured(self) -> list[dict[str, Any]]:
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        return [
            {
                "name": metric.name,
                "unit": metric.unit,
                "description": metric.description,
                "points": [
                    {
                        "attributes": dict(point.attributes or {}),
                        "count": getattr(point, "count", getattr(point, "value", None)),
                    }
                    for point in metric.data.data_points
                ],
            }
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]


MakeTraced = Callable[..., Traced]


@pytest.fixture
async def traced(valkey: RedisServer, prefix: str) -> AsyncIterator[MakeTraced]:
    """Make an application of some jobs, traced."""
    made: list[Traced] = []

    def make(*jobs: Job[Any, Any]) -> Traced:
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        reader = InMemoryMetricReader()
        telemetry = OpenTelemetry(
            metrics=True, tracer_provider=provider, meter_provider=MeterProvider([reader])
        )
        settings = Settings(REDIS_URL=valkey.url, BULLQ_PREFIX=prefix)
        app = Bullq(jobs=jobs, settings=settings, telemetry=telemetry)
        made.append(Traced(app, exporter, provider, reader))
        return made[-1]

    yield make
    for one in made:
        await one.app.aclose()
        one.provider.shutdown()

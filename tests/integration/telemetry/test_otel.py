"""What a traced application makes of its jobs, however they end; untraced ones make nothing."""

from __future__ import annotations

import asyncio
import builtins
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from bullq import Bullq, Context, Job, JobFailed, QueueSpec, SettingsError, job
from bullq.dispatch.ids import new_job_id
from bullq.protocol.options import JobOptions
from bullq.queues.queue import JobQueue
from bullq.queues.traced import TracedQueue
from bullq.settings import Settings
from bullq.store.adding import JobKind, NewJob
from bullq.telemetry.otel import OpenTelemetry
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import running_worker

REMOTE = "0af7651916cd43dd8448eb211c80319c"
CARRIER = json.dumps({"traceparent": f"00-{REMOTE}-b7ad6b7169203331-01"})


class Nothing(BaseModel):
    pass


class Numbered(BaseModel):
    number: int


class Traced:
    """An application with an exporter in memory."""

    def __init__(self, url: str, prefix: str, *jobs: Job[Any, Any]) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.app = Bullq(
            jobs=jobs,
            queues=[QueueSpec(name="one", attempts=1)],
            settings=Settings(REDIS_URL=url, BULLQ_PREFIX=prefix),
            telemetry=OpenTelemetry(tracer_provider=self.provider),
        )

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        [span] = self.spans(name)
        return span

    async def add(self, name: str, **options: Any) -> str:
        """Add a job as another program would: untraced."""
        queue = self.app.queue("one")
        kind = JobKind(name, cast("JobOptions", {"attempts": 1, **options}))
        new = NewJob(kind, new_job_id(), "{}")
        return await JobQueue.add(queue, new)

    async def field(self, job_id: str, name: str) -> str | None:
        queue = self.app.queue("one")
        value: str | None = await queue.store.client().hget(queue.keys.job(job_id), name)
        return value


@pytest.fixture
async def make(valkey: RedisServer, prefix: str) -> AsyncIterator[Any]:
    made: list[Traced] = []

    def traced(*jobs: Job[Any, Any]) -> Traced:
        made.append(Traced(valkey.url, prefix, *jobs))
        return made[-1]

    yield traced
    for one in made:
        await one.app.aclose()
        one.provider.shutdown()


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def carried(span: ReadableSpan) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-"


async def test_spans_of_a_job_s_own_code_are_in_its_attempt(make: Any) -> None:
    traced: Traced

    @job(queue="one")
    async def look(data: Nothing) -> None:
        trace.get_tracer("own", tracer_provider=traced.provider).start_span("own").end()

    @job(queue="one")
    def look_in_a_thread(data: Nothing) -> None:
        trace.get_tracer("own", tracer_provider=traced.provider).start_span("own").end()

    traced = make(look, look_in_a_thread)
    async with running_worker(traced.app, "one") as (_, recorder):
        await traced.add("look", tm=CARRIER)
        await traced.add("look-in-a-thread", tm=CARRIER)
        await recorder.wait_for("job_completed", 2)
    attempts = {span.context.span_id for span in traced.spans("process one")}
    assert {span.parent and span.parent.span_id for span in traced.spans("own")} == attempts
    assert {trace_of(span) for span in traced.exporter.get_finished_spans()} == {REMOTE}


@pytest.mark.parametrize(
    ("options", "operation"),
    [
        ({"attempts": 2}, "retry"),
        ({"attempts": 2, "backoff": {"type": "fixed", "delay": 3_600_000}}, "delay"),
        ({}, "fail"),
    ],
)
async def test_a_job_that_has_failed_carries_the_span_that_recorded_it(
    make: Any, options: dict[str, Any], operation: str
) -> None:
    @job(queue="one")
    async def fail(data: Nothing, ctx: Context) -> None:
        if ctx.job_attempt == 1:
            raise RuntimeError("no")

    traced = make(fail)
    async with running_worker(traced.app, "one") as (_, recorder):
        job_id = await traced.add("fail", tm=CARRIER, **options)
        omitting = await traced.add("fail", tm=CARRIER, omc=True, **options)
        await recorder.wait_for("job_failed" if operation == "fail" else "job_retried", 2)
        if operation == "retry":
            await recorder.wait_for("job_completed", 2)
    recording = traced.spans(f"{operation} one")
    carrier = await traced.field(job_id, "tm") or ""
    assert json.loads(carrier)["traceparent"][:-2] in {carried(span) for span in recording}
    assert {trace_of(span) for span in recording} == {REMOTE}
    assert await traced.field(omitting, "tm") is None


async def test_a_job_that_has_completed_carries_nothing_new(make: Any) -> None:
    @job(queue="one")
    async def work(data: Nothing) -> None: ...

    traced = make(work)
    async with running_worker(traced.app, "one"):
        receipt = await work.dispatch(Nothing())
        await receipt.result()
    assert await traced.field(receipt.id, "tm") is None
    assert traced.span("complete one").parent is not None


@pytest.mark.parametrize("carrier", ["", "{", "7", '{"traceparent": "00-1-2-01"}', '{"a": {}}'])
async def test_what_a_job_carries_may_be_broken(make: Any, carrier: str) -> None:
    @job(queue="one")
    async def work(data: Nothing) -> None: ...

    traced = make(work)
    async with running_worker(traced.app, "one") as (_, recorder):
        await traced.add("work", tm=carrier)
        await recorder.wait_for("job_completed")
    assert traced.span("process one").parent is None


async def test_a_job_that_goes_back_to_its_queue_leaves_no_open_span(make: Any) -> None:
    began = asyncio.Event()

    @job(queue="one")
    async def hold(data: Nothing) -> None:
        began.set()
        await asyncio.Event().wait()

    traced = make(hold)
    async with running_worker(traced.app, "one", drain_timeout=0):
        await traced.add("hold", tm=CARRIER)
        await asyncio.wait_for(began.wait(), DEADLINE)
    attempt = traced.span("process one")
    assert (attempt.events, len(traced.exporter.get_finished_spans())) == ((), 1)


async def test_an_outcome_that_cannot_be_recorded_is_an_exception_of_its_span(make: Any) -> None:
    traced: Traced

    @job(queue="one")
    async def robbed(data: Nothing, ctx: Context) -> None:
        queue = traced.app.queue("one")
        await queue.store.client().delete(f"{queue.keys.job(ctx.job_id)}:lock")

    traced = make(robbed)
    async with running_worker(traced.app, "one") as (_, recorder):
        await traced.add("robbed", tm=CARRIER)
        await recorder.wait_for("job_lost")
    [event] = traced.span("complete one").events
    assert event.name == "exception"
    assert "lock" in str((event.attributes or {})["exception.message"])
    assert traced.span("process one").events == ()


async def test_a_payload_that_does_not_fit_ends_its_spans(make: Any) -> None:
    @job(queue="one")
    async def work(data: Numbered) -> None: ...

    traced = make(work)
    async with running_worker(traced.app, "one") as (_, recorder):
        await traced.add("work", tm=CARRIER)
        await recorder.wait_for("job_failed")
    [event] = traced.span("process one").events
    assert event.name == "job failed"
    assert "Field required" in str((event.attributes or {})["bullmq.job.failed.reason"])


async def test_untraced_applications_make_nothing_and_send_nothing(
    valkey: RedisServer, prefix: str
) -> None:
    @job(queue="one")
    async def fail(data: Nothing) -> None:
        raise RuntimeError("no")

    app = Bullq(
        jobs=[fail],
        queues=[QueueSpec(name="one", attempts=1)],
        settings=Settings(REDIS_URL=valkey.url, BULLQ_PREFIX=prefix),
    )
    try:
        async with running_worker(app, "one"):
            receipt = await fail.dispatch(Nothing())
            with pytest.raises(JobFailed):
                await receipt.result()
        queue = app.queue("one")
        stored = await queue.store.client().hgetall(queue.keys.job(receipt.id))
        assert (type(queue), "tm" in stored, "tm" in stored["opts"]) == (JobQueue, False, False)
    finally:
        await app.aclose()


@pytest.mark.parametrize("options", [{"tm": CARRIER}, {"omc": True}])
async def test_a_job_that_carries_a_trace_or_is_to_carry_none_is_left_as_it_is(
    make: Any, options: dict[str, Any]
) -> None:
    traced = make()
    queue = traced.app.queue("one")
    kind = JobKind("work", cast("JobOptions", options))
    one = await queue.add(NewJob(kind, new_job_id(), "{}"))
    [other] = await queue.add_many([NewJob(kind, new_job_id(), "{}")])
    for job_id in (one, other):
        stored = json.loads(await traced.field(job_id, "opts") or "")
        assert stored.get("tm") == options.get("tm")


async def test_what_waits_to_be_sent_is_sent_when_the_application_closes(make: Any) -> None:
    @job(queue="one")
    async def work(data: Nothing) -> None: ...

    traced = make(work)
    late = InMemorySpanExporter()
    traced.provider.add_span_processor(BatchSpanProcessor(late, schedule_delay_millis=3_600_000))
    await work.dispatch(Nothing())
    assert late.get_finished_spans() == ()
    await traced.app.aclose()
    assert [span.name for span in late.get_finished_spans()] == ["add one.work"]


async def test_a_setting_traces_with_the_sdk_s_own_providers(
    valkey: RedisServer, prefix: str
) -> None:
    settings = Settings(REDIS_URL=valkey.url, BULLQ_PREFIX=prefix, BULLQ_OTEL="true")
    app = Bullq(jobs=[], settings=settings)
    try:
        assert isinstance(app.queue("default"), TracedQueue)
    finally:
        await app.aclose()


def test_a_missing_extra_is_told_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.delitem(__import__("sys").modules, "bullq.telemetry.otel")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match=r"BULLQ_OTEL is on. .*pip install 'bullq\[otel\]'"):
        _ = Bullq(jobs=[], settings=Settings(BULLQ_OTEL="true")).telemetry


async def test_a_job_that_sleeps_ends_its_span_and_is_told_to_be_parked(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.engines.bullmq_memory.SHORTEST_PAUSE_MS", 1)

    @job(queue="one")
    async def nap(data: Nothing, ctx: Context) -> None:
        await ctx.sleep("nap", 0.05)

    traced = make(nap)
    async with running_worker(traced.app, "one") as (_, recorder):
        await traced.add("nap", tm=CARRIER)
        await recorder.wait_for("job_completed")
        assert recorder.counts["job_parked"] == 1
    attempts = traced.spans("process one")
    assert [[event.name for event in attempt.events] for attempt in attempts] == [
        [],
        ["job completed"],
    ]
    assert {trace_of(span) for span in traced.exporter.get_finished_spans()} == {REMOTE}

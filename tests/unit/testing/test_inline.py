"""The inline engine in users' hands: virtual time, events, and what a job has done so far."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import (
    Backoff,
    Context,
    GiveUp,
    JobFailed,
    PayloadError,
    QueueSpec,
    ResultTimeout,
    StepMisuse,
    job,
)
from bullq.errors import ActionRefused, JobNotFound
from bullq.jobs import dispatching
from bullq.testing import Inline, StepView

DAY = timedelta(days=1)
NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)


class Order(BaseModel):
    order_id: int = 7


class Sent(BaseModel):
    message_id: str


@job(queue="default", name="send-receipt")
async def send_receipt(order: Order, ctx: Context) -> Sent:
    pdf = await ctx.run("render", str, order.order_id)
    ctx.log(f"rendered {pdf}")
    ctx.progress(50)
    await ctx.sleep("cool-off", timedelta(minutes=10))
    return Sent(message_id=await ctx.run("mail", str, pdf))


@job(queue="default", name="waits")
async def waits(order: Order, ctx: Context) -> Any:
    return await ctx.wait_for("payment", "paid", 3 * DAY)


@pytest.fixture
async def engine() -> AsyncIterator[Inline]:
    async with Inline(now=NOON) as engine:
        yield engine


async def test_a_job_sleeps_in_virtual_time(engine: Inline) -> None:
    run = await engine.start(send_receipt, Order())
    assert run.job_state == "delayed"
    assert [step.key for step in run.steps] == ["render", "cool-off"]
    assert run.steps[0] == StepView("render", "completed", "7")
    assert run.steps[1] == StepView("cool-off", "begun")
    assert (run.logs, run.progress) == (["rendered 7"], 50)
    await engine.advance(timedelta(minutes=9, seconds=59))
    assert run.job_state == "delayed"
    await engine.advance(1)
    assert run.job_state == "completed"
    assert engine.now == NOON + timedelta(minutes=10)
    assert await run.result() == Sent(message_id="7")


async def test_a_result_lets_time_pass(engine: Inline) -> None:
    run = await engine.start(send_receipt, Order())
    assert await run.result(timeout=DAY) == Sent(message_id="7")
    assert engine.now == NOON + timedelta(minutes=10)


async def test_a_result_that_does_not_come_in_time(engine: Inline) -> None:
    run = await engine.start(waits, Order())
    with pytest.raises(ResultTimeout, match=r"delayed .* \['payment'\]"):
        await run.result(timeout=DAY)


async def test_events_wake_a_job(engine: Inline) -> None:
    run = await engine.start(waits, Order())
    await engine.send_event(run.id, "paid", {"cents": 990})
    assert run.job_state == "completed"
    assert await run.result() == {"cents": 990}
    with pytest.raises(ActionRefused, match="has ended already"):
        await waits.send_event(run.id, "paid")
    with pytest.raises(JobNotFound, match="no job nobody"):
        await engine.send_event("nobody", "paid")
    with pytest.raises(PayloadError, match="the event 'paid'"):
        await engine.send_event(run.id, "paid", object())


async def test_jobs_that_are_dispatched_go_to_the_engine(engine: Inline) -> None:
    receipt = await send_receipt.dispatch(Order(), id="order-7", delay=DAY)
    assert (receipt.id, receipt.engine) == ("order-7", "inline")
    assert await receipt.status() == "delayed"
    assert await receipt.result() == Sent(message_id="7")
    assert engine.now == NOON + DAY + timedelta(minutes=10)
    again = await send_receipt.dispatch(Order(order_id=8), id="order-7")
    assert await again.result() == Sent(message_id="7")  # the same job
    many = await send_receipt.dispatch_many([Order(order_id=n) for n in range(3)])
    assert [(await one.result()).message_id for one in many] == ["0", "1", "2"]
    assert len(engine.runs) == 4


async def test_the_dispatcher_before_it_is_back_afterwards() -> None:
    before = dispatching._source
    async with Inline():
        assert dispatching._source is not before
    assert dispatching._source is before


async def test_a_job_may_await_the_receipt_of_another(engine: Inline) -> None:
    @job(queue="default", name="asks")
    async def asks(order: Order, ctx: Context) -> str:
        return (await (await send_receipt.dispatch(order)).result()).message_id

    @job(queue="default", name="asks-in-a-thread")
    def asks_in_a_thread(order: Order, ctx: Context) -> str:
        return send_receipt.dispatch_sync(order).result_sync().message_id

    for one in (asks, asks_in_a_thread):
        run = engine.store.add(one, Order(), f"{one.name}-1")
        await engine.advance(timedelta(minutes=10))
        assert (run.state, run.result) == ("completed", '"7"')


async def test_a_failed_job_tells_its_errors(engine: Inline) -> None:
    @job(queue="default", name="fails", attempts=2, backoff=Backoff.fixed(DAY))
    async def fails(order: Order, ctx: Context) -> None:
        raise ValueError(f"attempt {ctx.job_attempt}")

    run = await engine.start(fails, Order())
    assert run.job_state == "delayed"
    with pytest.raises(JobFailed, match="attempt 2"):
        await run.result()
    assert [str(error) for error in run.errors] == ["attempt 1", "attempt 2"]
    assert engine.now == NOON + DAY


async def test_queues_have_their_say() -> None:
    @job(queue="stubborn", name="fails")
    async def fails(order: Order) -> None:
        raise ValueError("no")

    spec = QueueSpec(name="stubborn", attempts=4, backoff=Backoff.fixed(1))
    async with Inline(queues=[spec]) as engine:
        run = await engine.start(fails, Order())
        with pytest.raises(JobFailed):
            await run.result()
        assert len(run.errors) == 4


async def test_a_step_that_is_tried_again_shows_its_failures(engine: Inline) -> None:
    @job(queue="default", name="flaky", attempts=3, backoff=Backoff.fixed(DAY))
    async def flaky(order: Order, ctx: Context) -> None:
        async def burn() -> None:
            raise (GiveUp if ctx.attempt == 2 else ValueError)("toast")

        await ctx.run("burn", burn)

    run = await engine.start(flaky, Order())
    assert run.steps == [StepView("burn", "begun", failures=1)]
    await engine.advance(DAY)
    assert run.job_state == "failed"
    assert str(run.errors[-1]) == "the step 'burn' failed: GiveUp: toast"


async def test_removing_and_killing(engine: Inline) -> None:
    bodies: list[int] = []

    @job(queue="default", name="dies")
    async def dies(order: Order, ctx: Context) -> int:
        bodies.append(ctx.fence)
        if len(bodies) == 1:
            engine.kill(ctx.job_id)
            await ctx.run("never", str, 1)
            await ctx.run("ends", _for_ever)
        return len(bodies)

    run = await engine.start(dies, Order())
    assert await run.result() == 2
    assert bodies == [1, 2]
    asleep = await engine.start(send_receipt, Order())
    await engine.remove(asleep.id)
    assert asleep.job_state == "unknown"
    with pytest.raises(JobNotFound):
        await engine.remove(asleep.id)


async def _for_ever() -> None:
    import asyncio

    await asyncio.Event().wait()


async def test_results_may_not_grow_without_end(engine: Inline) -> None:
    @job(queue="default", name="hoards")
    async def hoards(order: Order, ctx: Context) -> None:
        for _ in range(9):
            await ctx.run("big", lambda: "x" * 4_000_000)

    run = await engine.start(hoards, Order())
    with pytest.raises(JobFailed, match=r"more than 32\.0 MiB in all"):
        await run.result()
    assert isinstance(run.errors[-1], StepMisuse)


async def test_what_is_on_record_is_json_that_people_read(engine: Inline) -> None:
    run = await engine.start(send_receipt, Order(), id="a")
    fields = engine.store.jobs["a"].fields
    assert fields["step:render"] == '{"result":"7"}'
    until = json.loads(fields["step:cool-off"])["until"]
    assert until == round((NOON + timedelta(minutes=10)).timestamp() * 1000)
    assert run.id == "a"

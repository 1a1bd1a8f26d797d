"""Jobs that are cancelled and asked after, whichever engine has them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bullq import ActionRefused, Bullq, Context, JobFailed, JobNotFound, job
from bullq.dispatch.outbox import Outbox
from bullq.store.elsewhere import ElsewhereScripts
from tests.integration.dispatch.conftest import (
    GATE,
    JOBS,
    QUEUE,
    RUNS,
    Number,
    SiteFactory,
    double_it,
    hold,
)
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode
from tests.support.workers import running_worker

STEPS: list[str] = []


@job(queue=QUEUE)
async def in_steps(data: Number, ctx: Context) -> str:
    async def note(step: str) -> None:
        STEPS.append(step)

    await ctx.run("first", note, "first")
    paid: str = await ctx.wait_for("payment", "paid", 3_600)
    await ctx.run("second", note, "second")
    return paid


@pytest.fixture
async def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


async def test_a_job_on_bullmq_is_taken_back_before_it_begins(make_site: SiteFactory) -> None:
    site = await make_site()
    await site.own.queue(QUEUE).control.pause()
    receipt = await double_it.dispatch(Number(number=1))
    assert await receipt.status() == "waiting"
    await receipt.cancel()
    assert await receipt.status() == "unknown"
    with pytest.raises(JobFailed, match="it was cancelled"):
        await receipt.result(DEADLINE)
    with pytest.raises(JobNotFound):
        await receipt.cancel()


async def test_a_job_that_a_worker_runs_is_not_taken_back(make_site: SiteFactory) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        receipt = await hold.dispatch(Number(number=1))
        assert await receipt.status() == "active"
        with pytest.raises(ActionRefused, match="a worker runs it"):
            await receipt.cancel()
        GATE.opened.set()
        assert await receipt.result(DEADLINE) == 1
        assert await receipt.status() == "completed"


@pytest.mark.parametrize("redis", [Mode.PASS, Mode.REFUSE])
async def test_a_job_that_waits_at_inngest_never_runs(make_site: SiteFactory, redis: Mode) -> None:
    site = await make_site()
    off = Bullq(jobs=JOBS, settings=site.app.settings, use_bullmq=lambda _: False)
    await site.break_redis(redis)
    receipt = await double_it.dispatch(Number(number=1), delay=3_600)
    assert receipt.engine == "inngest"
    run = await site.double.runs.of(receipt.id)
    await receipt.cancel()
    await asyncio.wait_for(run.ended.wait(), DEADLINE)
    assert (run.status, run.requests) == ("Cancelled", 0)
    assert site.runs(receipt.id) == {}
    with pytest.raises(JobFailed, match="it was cancelled"):
        await receipt.result(DEADLINE)
    await off.aclose()


async def test_a_run_at_inngest_ends_before_its_next_step_and_everybody_hears_of_it(
    make_site: SiteFactory,
) -> None:
    site = await make_site(in_steps)
    STEPS.clear()
    receipt = await in_steps.dispatch(Number(number=1))
    assert receipt.engine == "inngest"
    run = await site.double.runs.of(receipt.id)
    await asyncio.wait_for(run.paused(), DEADLINE)
    assert STEPS == ["first"]
    assert await receipt.status() == "active"
    elsewhere = site.app.dispatcher.receipt(in_steps, receipt.id)
    waiting = asyncio.create_task(elsewhere.result(DEADLINE))
    await receipt.cancel()
    with pytest.raises(JobFailed, match="it was cancelled"):
        await waiting
    assert run.status == "Cancelled"
    assert STEPS == ["first"]
    assert await receipt.status() == "failed"
    with pytest.raises(ActionRefused, match="has ended: failed"):
        await receipt.cancel()


async def test_a_run_that_ends_after_all_says_so(make_site: SiteFactory) -> None:
    site = await make_site(in_steps)
    receipt = await in_steps.dispatch(Number(number=1))
    run = await site.double.runs.of(receipt.id)
    await asyncio.wait_for(run.paused(), DEADLINE)
    queue = site.own.queue(QUEUE)
    scripts = ElsewhereScripts(queue.store.client(), queue.store.pipelined(), queue.keys)
    assert await scripts.cancel_elsewhere(receipt.id, "it was cancelled")
    assert await receipt.status() == "failed"
    await in_steps.send_event(receipt.id, "paid", "cash")  # the server has not heard of it
    await asyncio.wait_for(run.ended.wait(), DEADLINE)
    assert await receipt.status() == "completed"
    assert not await scripts.cancel_elsewhere(receipt.id, "it was cancelled")
    assert await receipt.result(DEADLINE) == "cash"
    counts = await queue.view.counts()
    assert (counts["completed"], counts["failed"]) == (1, 0)


async def test_an_event_reaches_a_job_that_fell_back(make_site: SiteFactory) -> None:
    site = await make_site(in_steps)
    receipt = await in_steps.dispatch(Number(number=1))
    run = await site.double.runs.of(receipt.id)
    await asyncio.wait_for(run.paused(), DEADLINE)
    await in_steps.send_event(receipt.id, "paid", "cash")
    assert await receipt.result(DEADLINE) == "cash"


async def test_an_event_reaches_a_job_that_falls_back_later(make_site: SiteFactory) -> None:
    site = await make_site(in_steps)
    queue = site.own.queue(QUEUE)
    await queue.control.pause()
    receipt = await in_steps.dispatch(Number(number=1))
    assert receipt.engine == "bullmq"
    await in_steps.send_event(receipt.id, "paid", "early")
    await queue.control.resume()
    again = await in_steps.dispatch(Number(number=1), id=receipt.id)
    assert again.engine == "inngest"
    assert await again.result(DEADLINE) == "early"


async def test_a_job_in_the_outbox_is_taken_back_where_no_engine_can_have_it(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(registered=False, BULLQ_OUTBOX=outbox.path, BULLQ_REDIS_TIMEOUT="150ms")
    await outbox.take_lease("the test", 3_600)
    await site.break_redis(Mode.REFUSE)
    receipt = await double_it.dispatch(Number(number=1))
    assert (receipt.engine, await receipt.status()) == ("outbox", "kept")
    await receipt.cancel()
    assert await outbox.depth() == (0, 0)
    await site.break_redis(Mode.PASS)
    site.proxy.swallow(b"perhaps")
    doubtful = await double_it.dispatch(Number(number=1), id=f"perhaps-{len(RUNS)}")
    site.proxy.swallow_no_more()
    assert doubtful.engine == "outbox"
    with pytest.raises(ActionRefused, match="an engine may have it"):
        await doubtful.cancel()
    await outbox.leave_lease("the test")
    async with running_worker(site.own, QUEUE):
        assert await doubtful.result(DEADLINE) == 2
    assert site.runs(receipt.id) == {}


async def test_an_event_reaches_a_job_that_waits_in_the_outbox(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(in_steps, registered=False, BULLQ_OUTBOX=outbox.path)
    await outbox.take_lease("the test", 3_600)
    await site.break_redis(Mode.REFUSE)
    receipt = await in_steps.dispatch(Number(number=1))
    await site.break_redis(Mode.PASS)
    await in_steps.send_event(receipt.id, "paid", "kept")
    await outbox.leave_lease("the test")
    async with running_worker(site.own, QUEUE):
        assert await receipt.result(DEADLINE) == "kept"
    assert receipt.engine == "outbox"

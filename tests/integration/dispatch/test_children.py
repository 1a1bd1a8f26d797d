"""Jobs that jobs start: by `ctx.dispatch` like any, by `ctx.invoke` where their parent is."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from bullq import Context, Observer, job
from bullq.dispatch.outbox import Outbox
from bullq.jobs.dispatching import AS_DEFINED
from bullq.worker.sweeper import Sweeper
from tests.integration.dispatch.conftest import QUEUE, RUNS, Number, SiteFactory
from tests.integration.dispatch.test_handoff import _accept
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode
from tests.support.workers import running_worker

ATTEMPTS: Counter[str] = Counter()


@job(queue="apart")
async def child(data: Number, ctx: Context) -> int:
    RUNS[ctx.job_id, ctx.engine] += 1
    return data.number + 1


@job(queue=QUEUE, attempts=2)
async def starts_one(data: Number, ctx: Context) -> str:
    """Start a child, and fail the first time after that."""
    started = await ctx.dispatch("child", child, Number(number=data.number))
    ATTEMPTS[ctx.job_id] += 1
    if ATTEMPTS[ctx.job_id] == 1:
        raise RuntimeError("once")
    return started


@job(queue=QUEUE)
async def asks_one(data: Number, ctx: Context) -> int:
    return await ctx.invoke("child", child, Number(number=data.number))


async def test_a_child_falls_back_where_nobody_works_on_its_queue_and_is_started_once(
    make_site: SiteFactory,
) -> None:
    site = await make_site(starts_one, child)
    async with running_worker(site.own, QUEUE):
        receipt = await starts_one.dispatch(Number(number=1))
        assert receipt.engine == "bullmq"
        started = await receipt.result(DEADLINE)
        run = await site.double.finished(started, DEADLINE)
    assert ATTEMPTS[receipt.id] == 2
    assert run.output == 2
    assert len(site.double.runs_of(started)) == 1
    assert site.runs(started) == {"inngest": 1}


async def test_a_child_waits_in_the_outbox_where_no_engine_takes_it(
    make_site: SiteFactory, tmp_path: Path
) -> None:
    # Its worker has Redis; what dispatches for the process has neither engine.
    outbox = Outbox(tmp_path / "outbox.db")
    site = await make_site(starts_one, child, registered=False, BULLQ_OUTBOX=outbox.path)
    async with running_worker(site.own, QUEUE), running_worker(site.own, "apart"):
        assert await outbox.take_lease("the test", 3_600)
        await site.break_redis(Mode.REFUSE)
        receipt = await site.own.dispatcher.dispatch(starts_one, Number(number=5), AS_DEFINED)
        started = await receipt.result(DEADLINE)
        [row] = await outbox.jobs()
        assert row.id == started
        await site.break_redis(Mode.PASS)
        await outbox.leave_lease("the test")
        async with asyncio.timeout(DEADLINE):
            while not site.runs(started):  # noqa: ASYNC110 - the job tells nobody but its counter
                await asyncio.sleep(0.02)
    assert site.runs(started) == {"bullmq": 1}


async def test_a_child_whose_result_is_asked_for_stays_with_its_parent(
    make_site: SiteFactory,
) -> None:
    site = await make_site(asks_one, child, BULLQ_PICKUP_TIMEOUT="10ms")
    async with running_worker(site.own, QUEUE) as (_, recorder):
        receipt = await asks_one.dispatch(Number(number=1))
        await recorder.wait_for("job_parked")
        sweeper = Sweeper(site.own.queue("apart"), _accept, Observer())
        assert not await sweeper.sweep()  # it takes none, though nobody works there
        assert (await site.own.queue("apart").view.counts())["waiting"] == 1
        async with running_worker(site.own, "apart"):
            assert await receipt.result(DEADLINE) == 2
    assert site.double.runs.all == []

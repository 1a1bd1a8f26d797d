"""Jobs that no engine could take: kept on disk, and delivered once, when one of them is back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bullq import Reason
from bullq.dispatch.outbox import Outbox
from tests.integration.dispatch.conftest import (
    GATE,
    QUEUE,
    SILENT,
    Number,
    SiteFactory,
    double_it,
    here_only,
    take_a_slot,
)
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode
from tests.support.workers import running_worker


@pytest.fixture
async def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


async def _emptied(outbox: Outbox) -> None:
    async with asyncio.timeout(DEADLINE):
        while (await outbox.depth())[0]:  # noqa: ASYNC110 - another process may do it
            await asyncio.sleep(0.02)


async def test_what_no_engine_takes_is_delivered_when_redis_is_back(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(registered=False, BULLQ_OUTBOX=outbox.path)
    await site.break_redis(Mode.REFUSE)
    receipts = [await double_it.dispatch(Number(number=n)) for n in range(3)]
    receipts.append(await here_only.dispatch(Number(number=7)))
    assert {(one.engine, one.state) for one in receipts} == {("outbox", "kept")}
    assert receipts[0].reason is Reason.REDIS_AWAY
    async with running_worker(site.own, QUEUE):
        await site.break_redis(Mode.PASS)
        await _emptied(outbox)
        assert [await one.result(DEADLINE) for one in receipts] == [0, 2, 4, 7]
    assert [site.runs(one.id) for one in receipts] == [{"bullmq": 1}] * 4


async def test_inngest_takes_it_where_it_is_back_first(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(BULLQ_OUTBOX=outbox.path)
    await site.break_redis(Mode.REFUSE)
    site.double.delay = 30
    receipt = await double_it.dispatch(Number(number=1), deadline=1.5)
    kept = await here_only.dispatch(Number(number=1), deadline=1.5)
    assert receipt.engine == kept.engine == "outbox"
    site.double.delay = 0
    run = await site.double.finished(receipt.id)
    assert run.output == 2
    assert [job.id for job in await outbox.jobs()][-1:] == [kept.id]
    async with running_worker(site.own, QUEUE):
        await site.break_redis(Mode.PASS)
        await _emptied(outbox)
        assert await kept.result(DEADLINE) == 1
    assert site.runs(receipt.id) == {"inngest": 1}


async def test_a_job_that_was_added_after_all_runs_once(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(registered=False, BULLQ_OUTBOX=outbox.path)
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=0))
        silenced = site.proxy.catch(b"kept-")
        name = "kept-" + site.own.settings.prefix
        receipt = await double_it.dispatch(Number(number=2), id=name, deadline=SILENT)
        assert receipt.engine == "outbox"
        silenced.cut()
        await _emptied(outbox)
        assert await receipt.result(DEADLINE) == 4
    assert site.runs(receipt.id) == {"bullmq": 1}


async def test_what_another_process_left_is_delivered(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(registered=False, BULLQ_OUTBOX=outbox.path)
    await site.break_redis(Mode.REFUSE)
    receipt = await double_it.dispatch(Number(number=4))
    await site.app.handoffs.aclose()  # its process ends
    await site.break_redis(Mode.PASS)
    async with running_worker(site.own, QUEUE), site.app.relaying():
        await _emptied(outbox)
        assert await receipt.result(DEADLINE) == 8
    await outbox.aclose()


async def test_the_order_of_a_queue_is_kept(make_site: SiteFactory, outbox: Outbox) -> None:
    site = await make_site(registered=False, BULLQ_OUTBOX=outbox.path)
    queue = site.own.queue(QUEUE)
    async with running_worker(site.own, QUEUE, concurrency=1):
        await take_a_slot()
        await site.break_redis(Mode.REFUSE)
        receipts = await double_it.dispatch_many([Number(number=n) for n in range(250)])
        assert {one.engine for one in receipts} == {"outbox"}
        await site.break_redis(Mode.PASS)
        await _emptied(outbox)
        waiting = await queue.store.client().lrange(queue.keys.key("wait"), 0, -1)
        assert list(reversed(waiting)) == [one.id for one in receipts]
        await queue.control.drain()
        GATE.opened.set()


async def test_reconciling_settles_what_can_be_known_and_tells_the_rest(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(registered=False, BULLQ_OUTBOX=outbox.path)
    async with running_worker(site.own, QUEUE):
        begun = await double_it.dispatch(Number(number=1))
        assert await begun.result(DEADLINE) == 2
    await site.break_redis(Mode.REFUSE)
    fresh = await double_it.dispatch(Number(number=2))
    await site.app.handoffs.aclose()
    [kept] = await outbox.jobs()
    lost = replace(kept, id="lost", epoch="before", sent=True)
    for job in (replace(kept, id=begun.id, sent=True), lost):
        await outbox.keep(job)
        await outbox.hold_back(job, "nobody can know whether it ran")
    await site.break_redis(Mode.PASS)
    reconciliation = site.app.reconciliation()
    expected = {
        fresh.id: "no engine has it",
        begun.id: "a worker has begun it",
        "lost": "nobody can know whether it ran",
    }
    seen = await reconciliation.look()
    assert {one.id: one.what for one in seen} == expected
    assert not any(one.settled for one in seen)
    assert (await outbox.depth())[0] == 3
    settled = await reconciliation.settle()
    assert {one.id: one.settled for one in settled} == {
        fresh.id: True,
        begun.id: True,
        "lost": False,
    }
    assert [job.id for job in await outbox.jobs()] == ["lost"]
    async with running_worker(site.own, QUEUE):
        assert await fresh.result(DEADLINE) == 4
    assert site.runs(fresh.id) == site.runs(begun.id) == {"bullmq": 1}
    await outbox.aclose()

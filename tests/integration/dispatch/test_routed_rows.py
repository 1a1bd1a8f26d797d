"""Jobs that left BullMQ and whose event nobody takes: a row on disk beside Redis' own record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bullq import Reason
from bullq.dispatch.outbox import Outbox
from tests.integration.dispatch.conftest import QUEUE, Number, Site, SiteFactory, double_it
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker


@pytest.fixture
async def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


async def _unsent(site: Site) -> list[str]:
    queue = site.own.queue(QUEUE)
    ids: list[str] = await queue.store.client().zrange(queue.keys.key("bullq:rerouted"), 0, -1)
    return ids


async def test_a_routed_job_is_kept_and_runs_at_inngest_once_that_takes_it(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(BULLQ_OUTBOX=outbox.path)
    assert await outbox.take_lease("the test", 3_600)
    assert (await double_it.dispatch(Number(number=1))).engine == "inngest"  # it is ready
    site.double.event_key = "another"  # so that it refuses ours
    receipt = await double_it.dispatch(Number(number=21))
    assert (receipt.engine, receipt.state, receipt.reason) == ("outbox", "kept", Reason.NO_WORKERS)
    [row] = await outbox.jobs()
    assert (row.id, row.known, row.sent, row.may_leave) == (receipt.id, True, True, True)
    assert await _unsent(site) == [receipt.id]
    queue = site.own.queue(QUEUE)
    await queue.store.client().zrem(queue.keys.key("bullq:rerouted"), receipt.id)  # by no sweeper
    async with running_worker(site.own, QUEUE):  # which has not got it any more
        site.double.event_key = None
        await outbox.leave_lease("the test")
        run = await site.double.finished(receipt.id, DEADLINE)
        assert run.output == 42
        async with asyncio.timeout(DEADLINE):
            while (await outbox.depth())[0] or await _unsent(site):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
    assert len(site.double.runs_of(receipt.id)) == 1
    assert site.runs(receipt.id) == {"inngest": 1}

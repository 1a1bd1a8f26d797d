"""Jobs of one order key: none overtakes another, whatever its engines and the outbox do."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest

from bullq import (
    Bullq,
    DispatchInDoubt,
    InvalidOptionError,
    QueueSpec,
    Reason,
    job,
)
from bullq.dispatch.outbox import Outbox
from tests.integration.dispatch.conftest import (
    JOBS,
    QUEUE,
    Number,
    Site,
    SiteFactory,
    double_it,
)
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode
from tests.support.workers import running_worker

RAN: defaultdict[str, list[int]] = defaultdict(list)
"""The numbers of each parity, as they ran."""


@job(queue=QUEUE, order_key=lambda data: "odd" if data.number % 2 else "even")
async def in_order(data: Number) -> int:
    RAN["odd" if data.number % 2 else "even"].append(data.number)
    return data.number


@pytest.fixture
async def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


async def _waiting(site: Site) -> list[str]:
    queue = site.own.queue(QUEUE)
    ids: list[str] = await queue.store.client().lrange(queue.keys.key("wait"), 0, -1)
    return ids[::-1]


async def test_a_job_with_an_order_key_has_one_engine(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(BULLQ_OUTBOX=outbox.path)
    stays = await double_it.dispatch(Number(number=1), order_key="a")
    assert (stays.engine, stays.state) == ("bullmq", "queued")
    assert (await double_it.dispatch(Number(number=1))).engine == "inngest"  # as it has none
    await site.break_redis(Mode.REFUSE)
    waits = await double_it.dispatch(Number(number=2), order_key="a")
    assert (waits.engine, waits.state, waits.reason) == ("outbox", "kept", Reason.REDIS_AWAY)
    await site.break_redis(Mode.PASS)
    async with running_worker(site.own, QUEUE):
        assert [await one.result(DEADLINE) for one in (stays, waits)] == [2, 4]
    assert site.runs(stays.id) == site.runs(waits.id) == {"bullmq": 1}


async def test_what_comes_later_waits_behind_what_is_in_the_outbox(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(BULLQ_OUTBOX=outbox.path)
    assert await outbox.take_lease("the test", 3_600)  # nobody else delivers
    await site.break_redis(Mode.REFUSE)
    first = await double_it.dispatch(Number(number=1), order_key="a")
    await site.break_redis(Mode.PASS)
    second = await double_it.dispatch(Number(number=2), order_key="a")
    assert (second.engine, second.reason) == ("outbox", Reason.IN_ORDER)
    other = await double_it.dispatch(Number(number=3), order_key="b")
    assert other.engine == "bullmq"
    await outbox.leave_lease("the test")
    async with asyncio.timeout(DEADLINE):
        while len(await _waiting(site)) < 3:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)
    assert await _waiting(site) == [other.id, first.id, second.id]


async def test_many_run_in_their_order_through_an_outage(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(in_order, BULLQ_OUTBOX=outbox.path)
    RAN.clear()
    async with running_worker(site.own, QUEUE, concurrency=1):
        receipts = await in_order.dispatch_many([Number(number=n) for n in range(20)])
        await site.break_redis(Mode.REFUSE)
        receipts += await in_order.dispatch_many([Number(number=n) for n in range(20, 40)])
        await site.break_redis(Mode.PASS)
        receipts += await asyncio.gather(
            *(in_order.dispatch(Number(number=n), deadline=30) for n in range(40, 60))
        )
        assert [await one.result(DEADLINE) for one in receipts] == list(range(60))
    assert {"bullmq", "outbox"} == {one.engine for one in receipts}
    assert RAN["even"] == list(range(0, 60, 2))
    assert RAN["odd"] == list(range(1, 60, 2))


async def test_where_the_flag_is_off_for_good_the_one_engine_is_inngest(
    make_site: SiteFactory, outbox: Outbox
) -> None:
    site = await make_site(BULLQ_OUTBOX=outbox.path)
    there = Bullq(
        jobs=JOBS,
        queues=[QueueSpec(name=QUEUE, use_bullmq=False)],
        settings=site.app.settings,
    )
    receipt = await double_it.dispatch(Number(number=1), order_key="a")
    assert (receipt.engine, receipt.reason) == ("inngest", Reason.SWITCHED_OFF)
    site.double.delay = 1
    with pytest.raises(DispatchInDoubt):
        await double_it.dispatch(Number(number=2), order_key="a", deadline=0.2)
    assert await outbox.depth() == (0, 0)
    site.double.delay = 0
    await there.aclose()


async def test_an_order_key_that_is_none_is_refused(make_site: SiteFactory) -> None:
    await make_site()
    with pytest.raises(InvalidOptionError, match="an order_key is text of 1 to 256 characters"):
        await double_it.dispatch(Number(number=1), order_key="")

"""Dispatches to a Redis that refuses, is silent, loses answers, or has lost its data."""

from __future__ import annotations

import asyncio
import time

import pytest

from bullq import DispatchInDoubt, Reason, Receipt
from bullq.dispatch.breaker import Breaker
from bullq.dispatch.bucket import TokenBucket
from tests.integration.dispatch.conftest import (
    GATE,
    QUEUE,
    SILENT,
    Number,
    Site,
    SiteFactory,
    double_it,
    dropped,
    on_the_queue,
    rerun,
    take_a_slot,
)
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode
from tests.support.servers import RedisServer
from tests.support.workers import running_worker


async def test_where_redis_refuses_inngest_runs_the_job(
    make_site: SiteFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Breaker.__init__.__kwdefaults__, "clock", lambda: 0.0)
    site = await make_site()
    await site.break_redis(Mode.REFUSE)
    receipt = await double_it.dispatch(Number(number=4))
    assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_AWAY)
    spared = await double_it.dispatch(Number(number=5))
    assert (spared.engine, spared.reason) == ("inngest", Reason.BREAKER_OPEN)
    await site.double.finished(receipt.id)
    await site.double.finished(spared.id)
    assert site.runs(receipt.id) == site.runs(spared.id) == {"inngest": 1}


async def test_where_redis_is_silent_the_event_is_guarded(make_site: SiteFactory) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        assert (await double_it.dispatch(Number(number=1))).engine == "bullmq"
    await site.break_redis(Mode.BLACK_HOLE)
    await site.proxy.cut_all()
    receipt = await double_it.dispatch(Number(number=4), deadline=SILENT)
    assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_SILENT)
    run = await site.double.finished(receipt.id)
    assert run.output == 8
    assert site.runs(receipt.id) == {"inngest": 1}


async def test_a_guarded_event_ends_where_a_worker_has_begun_the_job(
    make_site: SiteFactory,
) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=1))
        silenced = site.proxy.catch(b"silenced")  # executed, and its answer held back
        name = "silenced-" + site.own.settings.prefix
        receipt = await double_it.dispatch(Number(number=2), id=name, deadline=SILENT)
        silenced.let_go()
        assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_SILENT)
        run = await site.double.finished(receipt.id)
        assert run.output == {"handled_by": "bullmq"}
        assert await receipt.result(DEADLINE) == 4
    assert site.runs(receipt.id) == {"bullmq": 1}


async def test_an_answer_that_is_lost_is_asked_for_again(make_site: SiteFactory) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=1))
        caught = site.proxy.catch(b"lost-answer")
        dispatching = asyncio.create_task(
            double_it.dispatch(Number(number=2), id="lost-answer-" + site.own.settings.prefix)
        )
        async with asyncio.timeout(DEADLINE):
            await caught.answered.wait()
        caught.cut()
        receipt = await dispatching
        assert (receipt.engine, receipt.state) == ("bullmq", "started")
        assert await receipt.result(DEADLINE) == 4
    assert site.runs(receipt.id) == {"bullmq": 1}


async def test_lost_data_is_raised_or_handled_as_the_job_says(
    make_site: SiteFactory, own_server: RedisServer
) -> None:
    held = {QUEUE: {"lock_duration": "1h"}}  # whoever holds the slot does not miss its lock
    site = await make_site(server=own_server, BULLQ_PICKUP_TIMEOUT="2s", BULLQ_QUEUES=held)
    async with running_worker(site.own, QUEUE, concurrency=1):
        await take_a_slot()
        told: list[object] = []
        for kind in (double_it, rerun, dropped):
            dispatching = asyncio.create_task(kind.dispatch(Number(number=1)))
            await on_the_queue(site, 1)
            await site.own.store.client().flushall()
            told.append((await asyncio.gather(dispatching, return_exceptions=True))[0])
        GATE.opened.set()
    assert isinstance(told[0], DispatchInDoubt)
    assert isinstance(told[1], Receipt)
    assert isinstance(told[2], Receipt)
    assert told[1].state in {"queued", "started", "sent"}
    assert (told[2].state, told[2].reason) == ("dropped", Reason.DATA_LOST)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.BLACK_HOLE])
async def test_no_dispatch_outlives_its_deadline(make_site: SiteFactory, mode: Mode) -> None:
    site = await make_site()
    await double_it.dispatch(Number(number=0))
    site.double.delay = 30
    await site.break_redis(mode)
    await site.proxy.cut_all()
    began = time.monotonic()
    with pytest.raises(DispatchInDoubt):
        await double_it.dispatch(Number(number=1), deadline=0.5)
    assert 0.45 < time.monotonic() - began < 30 / 2


@pytest.mark.parametrize("is_first", [True, False])
async def test_an_add_is_not_made_again_in_a_redis_that_has_lost_its_data(
    make_site: SiteFactory, own_server: RedisServer, *, is_first: bool
) -> None:
    site = await make_site(server=own_server)
    async with running_worker(site.own, QUEUE):
        if not is_first:
            await double_it.dispatch(Number(number=0))
        name = "wiped-" + site.own.settings.prefix
        caught = site.proxy.catch(name.encode())
        dispatching = asyncio.create_task(double_it.dispatch(Number(number=1), id=name))
        async with asyncio.timeout(DEADLINE):
            await caught.answered.wait()
        await _ran(site, name)
        await site.own.store.client().flushall()
        caught.cut()
        with pytest.raises(DispatchInDoubt, match="has lost data"):
            await dispatching
    assert site.runs(name) == {"bullmq": 1}


async def test_a_guarded_event_is_not_run_where_nobody_can_know(
    make_site: SiteFactory, own_server: RedisServer
) -> None:
    site = await make_site(server=own_server)
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=0))
        silenced = site.proxy.catch(b"forgotten")
        site.double.delay = 0.3  # the event comes after the data is lost
        dispatching = asyncio.create_task(
            double_it.dispatch(Number(number=1), id="forgotten", deadline=SILENT)
        )
        async with asyncio.timeout(DEADLINE):
            await silenced.answered.wait()
        await _ran(site, "forgotten")
        await site.own.store.client().flushall()
        receipt = await dispatching
        silenced.let_go()
        assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_SILENT)
        run = await site.double.finished("forgotten")
        assert run.status == "Failed"
        assert "nobody can know" in run.output["message"]
    assert site.runs("forgotten") == {"bullmq": 1}


async def _ran(site: Site, job_id: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while not site.runs(job_id):  # noqa: ASYNC110 - the job tells nobody but its counter
            await asyncio.sleep(0.005)


async def test_a_redis_that_is_spared_is_asked_where_inngest_refuses(
    make_site: SiteFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for timed in (Breaker, TokenBucket):
        monkeypatch.setitem(timed.__init__.__kwdefaults__, "clock", lambda: 0.0)
    site = await make_site(BULLQ_FALLBACK_RATE=1)  # two at once
    await site.break_redis(Mode.REFUSE)
    assert [(await double_it.dispatch(Number(number=1))).engine for _ in range(2)] == [
        "inngest"
    ] * 2
    await site.break_redis(Mode.PASS)
    async with running_worker(site.own, QUEUE):
        assert (await double_it.dispatch(Number(number=1))).engine == "bullmq"

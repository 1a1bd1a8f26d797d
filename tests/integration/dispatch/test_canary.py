"""Canaries: a synthetic job per queue and engine, by which a dead engine is known in time."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from bullq.doctor import Diagnosis, examine_canaries
from bullq.queues.canary import canary_queue
from bullq.settings import Settings
from bullq.telemetry.findings import Level
from bullq.telemetry.hooks import CanaryEvent, Observer
from bullq.web import asgi
from tests.integration.dispatch.conftest import QUEUE, Site, SiteFactory
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import serving
from tests.support.proxy import Mode
from tests.support.workers import Recorder, running_worker

CANARY = {"BULLQ_CANARY": "1h"}


async def _send(site: Site) -> dict[str, CanaryEvent]:
    told = await site.app.canaries_of([QUEUE]).send(Observer())
    return {one.engine: one for one in told}


async def test_canaries_come_back_from_engines_that_live(make_site: SiteFactory) -> None:
    site = await make_site(**CANARY)
    async with running_worker(site.own, QUEUE):
        await _until_taken(site)
        told = await _send(site)
        assert {engine: one.came for engine, one in told.items()} == {
            "bullmq": True,
            "inngest": True,
        }
        assert {one.queue for one in told.values()} == {QUEUE}


async def test_canaries_leave_nothing_and_no_other_worker_can_take_them(
    make_site: SiteFactory,
) -> None:
    site = await make_site(**CANARY)
    queue, client = site.own.queue(QUEUE), site.own.store.client()
    async with running_worker(site.own, QUEUE):
        await _until_taken(site)
        before = {key async for key in client.scan_iter(f"{queue.keys.base}*")}
        assert (await _send(site))["bullmq"].came
        after = {key async for key in client.scan_iter(f"{queue.keys.base}*")}
        assert after == before  # the queue that workers of other languages listen to
    beside = canary_queue(queue)
    assert beside.keys.base.startswith(f"{queue.keys.prefix}-canary:")
    left = [key async for key in client.scan_iter(f"{beside.keys.base}*")]
    assert left
    assert all([await client.pttl(key) > 0 for key in left])


async def test_an_engine_that_takes_jobs_and_runs_none_is_told(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_CANARY="2s")
    async with running_worker(site.own, QUEUE) as (worker, _):
        await _until_taken(site)
        site.double.forget()
        told = await _send(site)
        assert told["inngest"].came is False
        assert "nobody has run it" in told["inngest"].reason
        assert worker.executions == []


async def test_without_workers_that_take_them_none_is_sent(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_CANARY="1s")
    told = await _send(site)
    assert told["bullmq"].came is None
    assert "no bullq worker" in told["bullmq"].reason
    await site.break_redis(Mode.REFUSE)
    told = await _send(site)
    assert told["bullmq"].came is False
    # It came to another process, of which nothing is heard while Redis is away.
    assert told["inngest"].came is None


async def test_readiness_and_observers_hear_of_them(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_CANARY="1s")
    recorder = Recorder()
    web = asgi(site.own, observer=recorder, health="/health")
    async with serving(web) as url, httpx.AsyncClient() as client:
        await recorder.wait_for("canary_came", 2)
        async with asyncio.timeout(DEADLINE):
            while (await client.get(f"{url}/health/ready")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        site.double.forget()
        site.double.registers = False  # nor does it learn them again
        async with asyncio.timeout(DEADLINE):
            while not (dead := site.own.canaries and site.own.canaries.dead):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert {one.engine for one in dead} == {"inngest"}
        answer = await client.get(f"{url}/health/ready")
        assert answer.status_code == 503
        assert not answer.json()["ready"]


async def test_a_check_up_sends_them_and_tells(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_CANARY="1s")
    async with running_worker(site.own, QUEUE):
        await _until_taken(site)
        both = [(f"queue {QUEUE}", f"canary-{engine}") for engine in ("bullmq", "inngest")]
        async with asyncio.timeout(DEADLINE):  # a busy machine may take more than a second
            while {(told := await _examined(site))[one] for one in both} != {Level.OK}:
                pass
    assert told["queue default", "canary-bullmq"] is Level.SKIPPED  # nobody works there
    site.double.forget()
    assert (await _examined(site))["queue default", "canary-inngest"] is Level.PROBLEM


async def _examined(site: Site) -> dict[tuple[str, str], Level]:
    diagnosis = Diagnosis()
    await examine_canaries(diagnosis, site.own)
    return {(one.subject, one.check): one.level for one in diagnosis.findings}


async def test_they_are_off_by_default(make_site: SiteFactory) -> None:
    site = await make_site()
    assert site.app.canaries is None
    recorder = Recorder()
    async with site.own.watching(recorder), running_worker(site.own, QUEUE):
        live = await site.own.store.client().client_list()
    assert not any("-canary:" in one["name"] for one in live)
    assert not recorder.told
    assert not any(one.endswith("canary") for one in site.double.runs.functions)


@pytest.mark.parametrize("text", ["10ms", "0"])
def test_an_interval_is_a_second_or_more(text: str) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1000"):
        Settings(BULLQ_CANARY=text)


async def _until_taken(site: Site) -> None:
    """Wait until the worker's canaries are taken: it begins beside it."""
    beside = canary_queue(site.own.queue(QUEUE))
    client = site.own.store.client()
    async with asyncio.timeout(DEADLINE):
        while not any(  # noqa: ASYNC110 - Redis tells nobody
            one["name"].startswith(beside.keys.client_name(":w:"))
            for one in await client.client_list()
        ):
            await asyncio.sleep(0.02)

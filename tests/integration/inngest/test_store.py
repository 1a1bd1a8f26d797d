"""Jobs on Inngest whose records in our own store are another engine's, or out of reach."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bullq import Backoff, Context, StoreUnavailable, job
from bullq.jobs.dispatching import DispatchOptions
from tests.conftest import AppFactory
from tests.integration.inngest.conftest import Order, Site, SiteFactory, receipt
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode, running_proxy
from tests.support.servers import RedisServer


async def test_a_job_that_bullmq_has_too_is_left_to_it(
    make_site: SiteFactory, make_app: AppFactory
) -> None:
    site = await make_site(receipt)
    # An application that knows of no Inngest: its job waits for a worker.
    bullmq_alone = make_app(receipt).dispatcher
    waiting = await bullmq_alone.dispatch(receipt, Order(id=1), DispatchOptions(id="both"))
    await site.run(receipt, Order(id=2), job_id="both")
    assert await waiting.status() == "waiting"
    [trouble] = [told for what, told in site.heard.told if what == "trouble"]
    assert trouble == "the outcome of job both is at Inngest alone"


async def test_jobs_run_and_say_so_while_redis_is_away(
    make_site: SiteFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        site = await make_site(receipt, REDIS_URL=proxy.url)
        await proxy.set_mode(Mode.REFUSE)
        run = await site.run(receipt, Order(id=7))
        assert (run.status, run.output) == ("Completed", "7")
    assert ("trouble", f"the outcome of job {run.event['id']} is at Inngest alone") in (
        site.heard.told
    )


async def test_an_effect_is_not_made_while_nobody_can_know_whether_it_was(
    make_site: SiteFactory, valkey: RedisServer
) -> None:
    made: list[int] = []

    @job(queue="default", name="charge", attempts=2, backoff=Backoff.fixed(0))
    async def charge(order: Order, ctx: Context) -> None:
        await ctx.once(f"charge-{order.id}", made.append, order.id)

    async with running_proxy(valkey.port) as proxy:
        site = await make_site(charge, REDIS_URL=proxy.url)
        await proxy.set_mode(Mode.REFUSE)
        run = await site.run(charge, Order(id=1))
    assert run.status == "Failed"
    assert "StoreUnavailable" in run.output["message"]
    assert made == []


@job(queue="default", name="waits")
async def waits(order: Order, ctx: Context) -> Any:
    return await ctx.wait_for("paid", "paid", timedelta(minutes=1))


async def in_a_long_wait(site: Site, job_id: str) -> None:
    """Wait until the job is in its fifth wait, of 16 seconds: between two, it hears nothing."""
    run = await site.double.runs.of(job_id)
    async with asyncio.timeout(DEADLINE):
        while len(run.stack) < 9:
            run.changed.clear()
            await run.changed.wait()
        await run.paused()


async def test_an_event_reaches_its_job_while_redis_is_away(
    make_site: SiteFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        site = await make_site(waits, REDIS_URL=proxy.url)
        await proxy.set_mode(Mode.REFUSE)
        job_id = await site.send(waits, Order())
        await in_a_long_wait(site, job_id)
        await waits.send_event(job_id, "paid", {"amount": 3})
        assert (await site.double.finished(job_id)).output == {"amount": 3}


async def test_an_event_that_nobody_can_take_is_told(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app = make_app(waits, url=proxy.url, INNGEST_DEV="1", INNGEST_BASE_URL="http://127.0.0.1:1")
        await proxy.set_mode(Mode.REFUSE)
        with pytest.raises(StoreUnavailable, match="The event 'paid' for the job x was not sent"):
            await waits.send_event("x", "paid")
        await app.aclose()


async def test_an_event_that_its_sender_could_not_keep_is_found_all_the_same(
    make_site: SiteFactory, make_app: AppFactory
) -> None:
    site = await make_site(waits)
    job_id = await site.send(waits, Order())
    sender = make_app(
        waits,
        url="redis://127.0.0.1:1/0",
        INNGEST_DEV="1",
        INNGEST_EVENT_KEY="events",
        INNGEST_BASE_URL=site.double.url,
    )
    await in_a_long_wait(site, job_id)
    await sender.dispatcher.send_event(waits, job_id, "paid", '"cash"')
    assert (await site.double.finished(job_id)).output == "cash"

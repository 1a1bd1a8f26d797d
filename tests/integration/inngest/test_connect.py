"""A worker that connects to Inngest, and outlives its server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from inngest.connect._internal import conn_init_starter, isolated_worker
from pydantic import BaseModel

from bullq import Bullq, Context, SettingsError, job
from bullq.engines.inngest.connect import ConnectWorker
from bullq.engines.inngest.messages import JobMessage
from tests.conftest import AppFactory
from tests.integration.inngest.conftest import SIGNING_KEY, Heard
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble


class Order(BaseModel):
    id: int = 0


@job(queue="default")
async def ship(order: Order, ctx: Context) -> int:
    await ctx.sleep("pause", 1)
    return await ctx.run("double", lambda: order.id * 2)


@pytest.fixture(autouse=True)
def _sdk_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the SDK give up after a quarter of a second, not after 20."""
    monkeypatch.setattr(conn_init_starter, "CONN_INIT_RETRY_INTERVAL_SEC", 0.05)
    monkeypatch.setattr(isolated_worker, "POST_CONNECT_SETTLE_SEC", 0.05)
    monkeypatch.setattr(isolated_worker, "RECONNECTION_DELAY_SEC", 0.05)


@pytest.fixture
async def double() -> AsyncIterator[InngestDouble]:
    async with InngestDouble(speed=20).running() as running:
        yield running


@pytest.fixture
def app(make_app: AppFactory, double: InngestDouble) -> Bullq:
    return make_app(ship, INNGEST_DEV="1", INNGEST_BASE_URL=double.url)


@contextlib.asynccontextmanager
async def working(app: Bullq, heard: Heard) -> AsyncIterator[ConnectWorker]:
    functions = app.inngest(heard)
    worker = ConnectWorker(functions, heard, name="one", first_pause=0.05)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(DEADLINE):
            await task
        await functions.aclose()


async def run(app: Bullq, double: InngestDouble, job_id: str) -> object:
    message = JobMessage(queue="default", name="ship", job_id=job_id, data={"id": 4})
    await app.inngest_events.send([message], deadline=DEADLINE)
    return (await double.finished(job_id)).output


async def test_jobs_run_over_a_connection_that_the_worker_opens(
    app: Bullq, double: InngestDouble
) -> None:
    async with working(app, Heard()), asyncio.timeout(DEADLINE):
        await double.gateway.ready.wait()
        assert await run(app, double, "a") == 8
    assert double.gateway.workers == ["one"]


async def test_a_worker_outlives_a_server_that_is_away_for_long(
    app: Bullq, double: InngestDouble
) -> None:
    double.gateway.is_up = False
    heard = Heard()
    async with working(app, heard), asyncio.timeout(DEADLINE):
        await heard.in_trouble.wait()  # the SDK has given up for good
        double.gateway.is_up = True
        await double.gateway.ready.wait()
        assert await run(app, double, "a") == 8
        await double.gateway.break_off()
        heard.in_trouble.clear()
        await heard.in_trouble.wait()
        double.gateway.is_up = True
        await double.gateway.ready.wait()
        assert await run(app, double, "b") == 8


async def test_a_key_that_the_server_refuses_ends_the_worker(
    make_app: AppFactory, double: InngestDouble
) -> None:
    double.gateway.refuses = True
    app = make_app(ship, INNGEST_SIGNING_KEY=SIGNING_KEY, INNGEST_BASE_URL=double.url)
    functions = app.inngest()
    with pytest.raises(SettingsError, match="refuses INNGEST_SIGNING_KEY"):
        async with asyncio.timeout(DEADLINE):
            await ConnectWorker(functions, Heard(), name="one").run()
    await functions.aclose()

"""Whether jobs that are sent to Inngest would run, and what is done so that they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import fastapi
import httpx
import pytest
from pydantic import BaseModel

from bullq import Bullq, job
from bullq.engines.inngest.events import send_event
from bullq.engines.inngest.messages import JobMessage, Outcome
from bullq.engines.inngest.probe import probe
from bullq.engines.inngest.server import InngestServer
from bullq.web import asgi, mount, registration
from tests.conftest import AppFactory
from tests.integration.inngest.conftest import SIGNING_KEY, SiteFactory
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble


class Order(BaseModel):
    id: int = 0


@job(queue="default")
async def ship(order: Order) -> int:
    return order.id


@pytest.fixture
async def double() -> AsyncIterator[InngestDouble]:
    async with InngestDouble(signing_key=SIGNING_KEY, event_key="events").running() as running:
        yield running


@pytest.fixture
def app(make_app: AppFactory, double: InngestDouble) -> Bullq:
    return make_app(
        ship,
        INNGEST_BASE_URL=double.url,
        INNGEST_EVENT_KEY="events",
        INNGEST_SIGNING_KEY=SIGNING_KEY,
    )


async def test_a_job_that_nobody_registered_is_accepted_and_lost_and_the_probe_knows(
    app: Bullq, double: InngestDouble
) -> None:
    server = InngestServer.from_settings(app.settings)
    message = JobMessage(queue="default", name="ship", job_id="a", data={})
    assert (await send_event(server, message)).outcome is Outcome.ACCEPTED
    assert double.runs.all == []

    found = await probe(server, ["default.ship"])
    assert (found.ready, found.missing) == (False, ("default.ship",))
    assert "what is sent to them would be lost" in found.reason


async def test_the_probe_says_which_key_or_server_is_wrong(
    app: Bullq, double: InngestDouble
) -> None:
    double.signing_key = "signkey-prod-ffff"
    found = await probe(InngestServer.from_settings(app.settings), [])
    assert (found.ready, found.reachable) == (False, True)
    assert "it answered 401" in found.reason

    double.delay = 5
    late = await probe(InngestServer.from_settings(app.settings), [], deadline=0.1)
    assert (late.ready, late.reachable) == (False, False)
    assert "no answer within 0.1 s" in late.reason


async def test_a_refused_registration_is_no_registration(app: Bullq, double: InngestDouble) -> None:
    double.registers = False  # the SDK answers 200 to it all the same
    web = asgi(app, origin="http://shop")
    endpoint = web.state.bullq.endpoint
    found = await endpoint.register("http://shop/api/inngest")
    assert not found.ready
    assert found.reason.endswith("the application 'bullq': At least one function is invalid")
    await web.state.bullq.aclose()


async def test_readiness_follows_the_server(
    make_site: SiteFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "_INTERVAL", 0.05)
    monkeypatch.setattr(registration, "_FIRST_PAUSE", 0.05)
    site = await make_site(ship, signed=True)
    async with httpx.AsyncClient(base_url=site.url) as http, asyncio.timeout(DEADLINE):
        assert (await http.get("/health/ready")).status_code == 200
        site.double.registers = False
        site.double.forget()
        told = await until(http, 503)
        assert "did not register the application" in told.json()["reason"]
        site.double.registers = True
        await until(http, 200)
    assert list(site.double.runs.functions) == ["bullq-default.ship"]


async def until(http: httpx.AsyncClient, status: int) -> httpx.Response:
    """Ask until readiness has this status: nobody is told when it changes."""
    while (told := await http.get("/health/ready")).status_code != status:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return told


async def test_the_second_key_registers_where_the_first_is_not_known_yet(
    make_app: AppFactory, double: InngestDouble
) -> None:
    app = make_app(
        ship,
        INNGEST_BASE_URL=double.url,
        INNGEST_SIGNING_KEY="signkey-prod-ffff",
        INNGEST_SIGNING_KEY_FALLBACK=SIGNING_KEY,
    )
    web = asgi(app)
    found = await web.state.bullq.endpoint.register("http://shop/api/inngest")
    assert found.ready, found.reason
    await web.state.bullq.aclose()


async def test_an_application_that_is_mounted_into_keeps_its_own_lifespan(app: Bullq) -> None:
    told: list[str] = []

    @contextlib.asynccontextmanager
    async def own(_: fastapi.FastAPI) -> AsyncIterator[dict[str, str]]:
        told.append("up")
        yield {"shop": "open"}
        told.append("down")

    web = fastapi.FastAPI(lifespan=own)
    service = mount(web, app, origin="http://shop")
    async with web.router.lifespan_context(web) as state, asyncio.timeout(DEADLINE):
        assert (told, state) == (["up"], {"shop": "open"})
        assert (await service.registration.registered()).ready
    assert told == ["up", "down"]

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Backoff, Bullq, Context, Job, Observer, job
from bullq.engines.inngest.events import send_event
from bullq.engines.inngest.messages import JobMessage, Outcome
from bullq.engines.inngest.server import InngestServer
from bullq.web import asgi
from bullq.web.endpoint import Bounds
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble, serving
from tests.support.inngest_runs import Run

SIGNING_KEY = "signkey-prod-0123456789abcdef"
_IDS = itertools.count(1)


class Order(BaseModel):
    id: int = 0


@job(queue="default", attempts=3, backoff=Backoff.fixed(2))
async def receipt(order: Order, ctx: Context) -> str:
    ctx.log(f"order {order.id}")
    ctx.progress(50)
    await ctx.sleep("pause", 1)
    return await ctx.run("mail", str, order.id)


@dataclass
class Heard(Observer):
    """What an engine has told, in order."""

    told: list[tuple[str, str]] = field(default_factory=list)
    in_trouble: asyncio.Event = field(default_factory=asyncio.Event)

    def job_started(self, job: Any) -> None:
        self.told.append(("started", job.id))

    def job_completed(self, job: Any) -> None:
        self.told.append(("completed", job.id))

    def job_failed(self, job: Any, reason: str) -> None:
        self.told.append(("failed", reason))

    def job_retried(self, job: Any, reason: str, delay_ms: int) -> None:
        self.told.append(("retried", f"{reason} in {delay_ms} ms"))

    def trouble(self, queue: str, message: str, error: BaseException | None = None) -> None:
        self.told.append(("trouble", message))
        self.in_trouble.set()


@dataclass
class Site:
    """An application whose endpoint is registered at a double of Inngest's server."""

    double: InngestDouble
    app: Bullq
    url: str
    heard: Heard

    async def send(self, job: Job[Any, Any], data: Any, **more: Any) -> str:
        """Send a job as the dispatcher would, and give its id."""
        more.setdefault("job_id", f"job-{next(_IDS)}")
        encoded = job.payload.encode(data)
        message = JobMessage(queue=job.queue, name=job.name, data=encoded, **more)
        server = InngestServer.from_settings(self.app.settings)
        sent = await send_event(server, message, deadline=DEADLINE)
        assert sent.outcome is Outcome.ACCEPTED, sent.reason
        return message.job_id

    async def run(self, job: Job[Any, Any], data: Any, **more: Any) -> Run:
        """Send a job and give its run once it has ended."""
        return await self.double.finished(await self.send(job, data, **more))


SiteFactory = Callable[..., Awaitable[Site]]


@pytest.fixture
async def make_site(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SiteFactory]:
    """Start sites; a *signed* one is in production mode. Time passes 20 times as fast there."""
    # A machine that many share is no store that is away.
    monkeypatch.setattr("bullq.engines.inngest.stored._DEADLINE", DEADLINE)
    monkeypatch.setattr("bullq.engines.inngest.attempt._FLUSH_DEADLINE", DEADLINE)
    monkeypatch.setattr("bullq.engines.inngest.attempt._RECORD_DEADLINE", DEADLINE)
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            *jobs: Job[Any, Any],
            signed: bool = False,
            bounds: Bounds | None = None,
            queues: Any = (),
            **settings: Any,
        ) -> Site:
            key = SIGNING_KEY if signed else None
            double = await stack.enter_async_context(
                InngestDouble(signing_key=key, event_key="events", speed=20).running()
            )
            mode = {"INNGEST_SIGNING_KEY": key} if signed else {"INNGEST_DEV": "1"}
            app = make_app(
                *jobs,
                queues=queues,
                INNGEST_BASE_URL=double.url,
                INNGEST_EVENT_KEY="events",
                **mode,
                **settings,
            )
            heard = Heard()
            web = asgi(app, bounds=bounds, observer=heard)
            url = await stack.enter_async_context(serving(web))
            web.state.bullq.registration.reach_at(f"{url}/api/inngest")
            async with asyncio.timeout(DEADLINE):
                found = await web.state.bullq.registration.registered()
            assert found.ready, found.reason
            return Site(double, app, url, heard)

        yield make

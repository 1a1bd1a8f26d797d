from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Bullq, Context, Job, job
from bullq.web import asgi
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble, serving
from tests.support.proxy import Mode, Proxy
from tests.support.servers import RedisServer

QUEUE = "handed"
RUNS: Counter[tuple[str, str]] = Counter()
"""How often each job ran on each engine."""


class Number(BaseModel):
    number: int


@job(queue=QUEUE)
async def double_it(data: Number, ctx: Context) -> int:
    RUNS[ctx.job_id, ctx.engine] += 1
    return 2 * data.number


@job(queue=QUEUE, pickup="started")
async def promptly(data: Number, ctx: Context) -> int:
    RUNS[ctx.job_id, ctx.engine] += 1
    return data.number


@job(queue=QUEUE, fallback=False)
async def here_only(data: Number, ctx: Context) -> int:
    RUNS[ctx.job_id, ctx.engine] += 1
    return data.number


@job(queue=QUEUE, on_data_loss="rerun")
async def rerun(data: Number) -> int:
    return data.number


@job(queue=QUEUE, on_data_loss="drop")
async def dropped(data: Number) -> int:
    return data.number


@job(queue=QUEUE)
async def hold(data: Number, ctx: Context) -> int:
    """Keep a worker's slot until the test lets it go."""
    GATE.reached.set()
    await GATE.opened.wait()
    return data.number


class Gate:
    """What holds jobs; new events for each test, as each has its own event loop."""

    reached: asyncio.Event
    opened: asyncio.Event


GATE = Gate()


async def take_a_slot() -> None:
    """Have a worker hold a job until the gate opens."""
    await hold.dispatch(Number(number=0))
    async with asyncio.timeout(DEADLINE):
        await GATE.reached.wait()


PATIENT = {
    "BULLQ_DISPATCH_DEADLINE": "60s",
    "BULLQ_REDIS_TIMEOUT": "10s",
    "BULLQ_PICKUP_TIMEOUT": "20s",
}
"""No time is up by itself, however busy the machine is: a test that wants it says so."""
SILENT = 5.0
"""A dispatch' deadline in seconds: a fifth of it is Redis' time to answer."""
JOBS: list[Job[Any, Any]] = [double_it, promptly, here_only, rerun, dropped, hold]


@dataclass
class Site:
    """An application between a Redis that can fail, behind *proxy*, and a double of Inngest."""

    app: Bullq
    proxy: Proxy
    double: InngestDouble
    own: Bullq = field(repr=False)
    """The same application past the proxy: its workers and the Inngest endpoint."""

    def runs(self, job_id: str) -> dict[str, int]:
        return {engine: count for (one, engine), count in RUNS.items() if one == job_id}

    async def break_redis(self, mode: Mode) -> None:
        await self.proxy.set_mode(mode)


async def on_the_queue(site: Site, count: int) -> None:
    """Wait until so many jobs wait on the queue."""
    client, key = site.own.store.client(), site.own.queue(QUEUE).keys.key("wait")
    async with asyncio.timeout(DEADLINE):
        while await client.llen(key) < count:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.005)


SiteFactory = Callable[..., Awaitable[Site]]


@pytest.fixture
async def make_site(make_app: AppFactory, valkey: RedisServer) -> AsyncIterator[SiteFactory]:
    """Start sites; dispatches go through the application made last."""
    GATE.opened, GATE.reached = asyncio.Event(), asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            *more: Job[Any, Any],
            registered: bool = True,
            server: RedisServer | None = None,
            **settings: Any,
        ) -> Site:
            jobs = [*JOBS, *more]
            redis = server or valkey
            double = await stack.enter_async_context(InngestDouble(speed=20).running())
            proxy = Proxy(redis.port)
            await proxy.set_mode(Mode.PASS)
            stack.push_async_callback(proxy.aclose)
            known = {"INNGEST_BASE_URL": double.url, "INNGEST_DEV": "1", **PATIENT, **settings}
            # Its endpoint would deliver from the outbox, past the proxy.
            others = {name: one for name, one in known.items() if name != "BULLQ_OUTBOX"}
            own = make_app(*jobs, url=redis.url, **others)
            web = asgi(own)
            url = await stack.enter_async_context(serving(web))
            if registered:
                web.state.bullq.registration.reach_at(f"{url}/api/inngest")
                found = await web.state.bullq.registration.registered()
                assert found.ready, found.reason
            return Site(make_app(*jobs, url=proxy.url, **known), proxy, double, own)

        yield make
        GATE.opened.set()

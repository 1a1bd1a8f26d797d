"""Two services of the example shop take orders while their Redis is killed and restarted.

Usually 60 orders and two kills; BULLQ_TEST_DRILLS=long: 5,000 and 20.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.history import ACCEPTED, ASKED, FINISHED, History, jobs_that
from tests.drills.site import Site, say, site
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer, free_port, running_server

ORDERS, KILLS = (5_000, 20) if LONG else (60, 2)
AT_ONCE = 16
QUEUE = "default"
ROOT = Path(__file__).parents[2]


@dataclass
class Shop:
    """Services, a worker, and customers who ask again until their order is taken."""

    place: Site
    folder: Path
    variant: str = ""
    urls: list[str] = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        ours = {
            "REDIS_URL": self.place.server.url,
            "BULLQ_PREFIX": self.place.prefix,
            "BULLQ_TEST_HISTORY": str(self.place.history.path),
            "BULLQ_TEST_VARIANT": self.variant,
            "SHOP_DATA": str(self.folder / "data"),
            **more,
        }
        return {**os.environ, **ours}

    @contextlib.asynccontextmanager
    async def process(self, *command: str, **environment: str) -> AsyncIterator[Process]:
        """Run a process of the shop until the block ends."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, cwd=ROOT, env=self.environment(**environment)
        )
        try:
            yield process
        finally:
            process.terminate()
            async with asyncio.timeout(DEADLINE):
                await process.wait()

    @contextlib.asynccontextmanager
    async def service(self, number: int) -> AsyncIterator[None]:
        """Run one web service, with an outbox of its own, once Inngest knows its jobs."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        factory = "tests.drills.shop_side:create"
        outbox = self.folder / f"outbox-{number}.db"
        self.place.outboxes.append(outbox)
        command = ["uvicorn", "--factory", factory, "--port", str(port), "--log-level", "error"]
        async with self.process(
            *command,
            BULLQ_OUTBOX=str(outbox),
            BULLQ_INNGEST_APP="shop",  # else the site's own application and it replace each other
            INNGEST_DEV="1",
            INNGEST_BASE_URL=self.place.double.url,
            INNGEST_SERVE_ORIGIN=url,
        ):
            await answered(f"{url}/bullq/ready")
            self.urls.append(url)
            yield

    async def order(self, browser: httpx.AsyncClient, number: int, chance: random.Random) -> None:
        """Place an order, at any service, until one says that it is taken."""
        job_id = f"receipt-{number}"
        self.place.history.note(ASKED, job_id)
        body = {"order_id": number, "email": "ada@shop.example"}
        async with asyncio.timeout(DEADLINE):
            while True:
                url = chance.choice(self.urls)
                answer = await browser.post(f"{url}/orders", json=body)
                if answer.status_code == httpx.codes.ACCEPTED:
                    break
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                await asyncio.sleep(0.05)
        taken = answer.json()
        self.place.history.note(ACCEPTED, job_id, taken["engine"], state=taken["state"])


async def answered(url: str) -> None:
    async with asyncio.timeout(DEADLINE), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(0.1)


async def drill(place: Site, folder: Path, chance: random.Random, variant: str = "") -> Verdict:
    """Take orders; where the services are a broken *variant*, with no worker at first."""
    shop = Shop(place, folder, variant)
    numbers = iter(range(1, ORDERS + 1))

    async def customer(browser: httpx.AsyncClient) -> None:
        for number in numbers:
            await shop.order(browser, number, chance)

    async def killing() -> None:
        """Kill the server now and then, and start it again a moment later."""
        for kill in range(1, KILLS + 1):
            due = ORDERS * kill // (KILLS + 1)
            while len(jobs_that(place.history.entries(), ACCEPTED)) < due:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            place.server.kill()
            await asyncio.sleep(chance.uniform(0.05, 0.6))
            await asyncio.to_thread(place.server.start)

    async with contextlib.AsyncExitStack() as stack:
        for number in (1, 2):
            await stack.enter_async_context(shop.service(number))
        worker = shop.process("tests.drills.shop_side")
        if not variant:
            await stack.enter_async_context(worker)
            await place.workers(1, QUEUE)
        browser = await stack.enter_async_context(httpx.AsyncClient(timeout=DEADLINE))
        async with asyncio.TaskGroup() as group:
            group.create_task(killing())
            for _ in range(AT_ONCE):
                group.create_task(customer(browser))
        if variant:
            await stack.enter_async_context(worker)
        verdict = await place.judged(QUEUE)
    say(f"{verdict}; failed at Inngest: {place.failures()}")
    return verdict


async def test_two_services_lose_no_order_when_redis_is_killed(
    lasting_place: Site, tmp_path: Path, chance: random.Random
) -> None:
    verdict = await drill(lasting_place, tmp_path, chance)
    assert not verdict.faults, verdict
    orders = {f"receipt-{number}" for number in range(1, ORDERS + 1)}
    assert jobs_that(lasting_place.history.entries(), FINISHED) == orders
    assert {file.stem for file in (tmp_path / "data" / "mail").iterdir()} == orders


@pytest.fixture
async def lasting_place(
    own_server: RedisServer, prefix: str, history: History
) -> AsyncIterator[Site]:
    """A site whose Inngest gives a busy service as much time as a real one does."""
    async with site(own_server, prefix, history, speed=1) as made:
        yield made


@pytest.fixture
async def forgetful_place(
    tmp_path_factory: pytest.TempPathFactory, prefix: str, history: History
) -> AsyncIterator[Site]:
    """A site whose server keeps nothing on disk."""
    with running_server(tmp_path_factory.mktemp("forgetful")) as server:
        async with site(server, prefix, history) as made:
            yield made


async def test_shops_catch_believed_add(
    forgetful_place: Site, tmp_path: Path, chance: random.Random
) -> None:
    verdict = await drill(forgetful_place, tmp_path, chance, variant="believed_add")
    assert "lost" in verdict.faults

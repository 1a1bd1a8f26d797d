"""A worker whose server is demoted while it waits goes on once somebody leads again."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from bullq import job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import running_worker


class Nothing(BaseModel):
    pass


@job(queue="default")
async def one(_data: Nothing) -> int:
    return 1


async def test_a_worker_that_waits_outlives_a_failover(
    make_app: AppFactory, own_server: RedisServer
) -> None:
    app = make_app(one, url=own_server.url)
    client = app.store.client()
    async with running_worker(app, "default") as (_, recorder):
        async with asyncio.timeout(DEADLINE):
            while not (await client.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        await client.execute_command("REPLICAOF", "127.0.0.1", 1)
        await recorder.wait_for("redis_lost", deadline=DEADLINE)
        await client.execute_command("REPLICAOF", "NO", "ONE")
        receipt = await one.dispatch(Nothing())
        assert await receipt.result(DEADLINE) == 1

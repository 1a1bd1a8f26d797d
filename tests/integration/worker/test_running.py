from __future__ import annotations

import asyncio

from pydantic import BaseModel

from bullq import Context, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker


class Order(BaseModel):
    order_id: int


async def test_a_job_runs_and_its_result_comes_back(make_app: AppFactory) -> None:
    @job(queue="default", name="double")
    async def double(order: Order, ctx: Context) -> int:
        ctx.log("doubling")
        return order.order_id * 2

    app = make_app(double)
    async with running_worker(app, "default"):
        receipt = await double.dispatch(Order(order_id=21))
        assert await receipt.result(timeout=DEADLINE) == 42
    assert await receipt.status() == "completed"


async def test_a_sync_job_runs_beside_the_event_loop(make_app: AppFactory) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    @job(queue="default", name="sync")
    def sync(order: Order) -> str:
        loop.call_soon_threadsafe(started.set)
        return f"order {order.order_id}"

    app = make_app(sync)
    async with running_worker(app, "default"):
        receipt = await sync.dispatch(Order(order_id=1))
        await asyncio.wait_for(started.wait(), DEADLINE)
        assert await receipt.result(timeout=DEADLINE) == "order 1"

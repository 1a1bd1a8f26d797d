"""One journey through everything, on every server that users run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from bullq import Backoff, Bullq, Context, JobFailed, QueueSpec, job
from bullq.settings import Settings
from tests.support.deadline import DEADLINE
from tests.support.no_silent_skips import DOCKER, REDIS_SERVER, need
from tests.support.servers import debian_redis, running_server
from tests.support.workers import running_worker


class Order(BaseModel):
    order_id: int


@job(queue="default", name="accept")
async def accept(order: Order, ctx: Context) -> int:
    ctx.log(f"order {order.order_id}")
    ctx.progress(50)
    return order.order_id


@job(queue="default", name="refuse", attempts=2, backoff=Backoff.fixed(0.05))
def refuse(order: Order) -> None:
    raise ValueError(f"order {order.order_id} is refused")


@pytest.fixture(params=["valkey", "redis-server", "redis:7", "redis:8"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "valkey":
        with running_server(tmp_path) as server:
            yield server.url
    elif request.param == "redis-server":
        need(REDIS_SERVER)
        with running_server(tmp_path, binary=debian_redis()) as server:
            yield server.url
    else:
        need(DOCKER)
        from testcontainers.redis import RedisContainer

        with RedisContainer(request.param) as container:
            host, port = container.get_container_host_ip(), container.get_exposed_port(6379)
            yield f"redis://{host}:{port}/0"


async def test_a_job_s_whole_journey(url: str, prefix: str) -> None:
    app = Bullq(
        jobs=[accept, refuse],
        queues=[QueueSpec(name="default", concurrency=4)],
        settings=Settings(REDIS_URL=url, BULLQ_PREFIX=prefix),
    )
    async with running_worker(app, "default") as (worker, _):
        receipt = await accept.dispatch(Order(order_id=7))
        assert await receipt.result(timeout=DEADLINE) == 7
        delayed = await accept.dispatch(Order(order_id=8), delay=0.2)
        assert await delayed.result(timeout=DEADLINE) == 8
        many = await accept.dispatch_many([Order(order_id=n) for n in range(50)], priority=3)
        assert [await one.result(timeout=DEADLINE) for one in many] == list(range(50))
        refused = await refuse.dispatch(Order(order_id=9))
        with pytest.raises(JobFailed, match="order 9 is refused"):
            await refused.result(timeout=DEADLINE)
        queue = app.queue("default")
        record = await queue.store.client().hgetall(queue.keys.job(refused.id))
        assert record["atm"] == "2"
        assert record["pb"] == worker.name
        assert await queue.store.client().lrange(queue.keys.logs(receipt.id), 0, -1) == ["order 7"]
    await app.aclose()

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from bullq import Bullq, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import running_worker


class Nothing(BaseModel):
    pass


async def test_a_result_whose_event_was_trimmed_during_an_outage_is_found(
    make_app: AppFactory, own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.queues.results._FIRST_PAUSE", 1.0)  # time for all that follows
    go_on = asyncio.Event()

    @job(queue="default", name="waits")
    async def waits(data: Nothing) -> int:
        await go_on.wait()
        return 7

    app = make_app(waits, url=own_server.url)
    async with running_worker(app, "default") as (_, recorder):
        receipt = await waits.dispatch(Nothing())
        await recorder.wait_for("job_started")
        waiting = asyncio.create_task(receipt.result(timeout=DEADLINE))
        queue = app.queue("default")
        client = queue.store.client()
        name = queue.keys.client_name(":qe")
        async with asyncio.timeout(DEADLINE):
            while not (  # noqa: ASYNC110 - Redis tells nobody who listens
                readers := [
                    one
                    for one in await client.client_list()
                    if (one["name"], one["cmd"]) == (name, "xread")
                ]
            ):
                await asyncio.sleep(0)
        # Nobody listens while the job ends, and its event is gone when somebody does again.
        assert await client.client_kill_filter(_id=readers[0]["id"]) == 1
        go_on.set()
        await recorder.wait_for("job_completed")
        await client.xtrim(queue.keys.key("events"), maxlen=0, approximate=False)
        assert await asyncio.wait_for(waiting, DEADLINE) == 7
    await app.aclose()


async def test_a_stopping_worker_leaves_the_marker_of_a_delayed_job(
    make_app: AppFactory,
) -> None:
    @job(queue="default", name="later")
    async def later(data: Nothing) -> None: ...

    app: Bullq = make_app(later)
    queue = app.queue("default")
    marker = queue.keys.key("marker")
    async with running_worker(app, "default"):
        await later.dispatch(Nothing(), delay=3600)
        async with asyncio.timeout(DEADLINE):
            while await queue.store.client().exists(marker):  # noqa: ASYNC110 - nor who takes it
                await asyncio.sleep(0)
    [(member, score)] = await queue.store.client().zrange(marker, 0, -1, withscores=True)
    [(_, delayed)] = await queue.store.client().zrange(
        queue.keys.key("delayed"), 0, -1, withscores=True
    )
    assert (member, int(score)) == ("1", int(delayed) // 4096)

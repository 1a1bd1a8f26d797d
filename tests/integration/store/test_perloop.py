"""Many event loops one after the other, as where asyncio.run is called for each dispatch."""

from __future__ import annotations

import asyncio
import gc

import pytest
import redis
from pydantic import BaseModel

from bullq import Bullq, job
from bullq.jobs.dispatching import bind_dispatcher
from bullq.jobs.flow import bind_flows
from bullq.settings import Settings
from tests.support.servers import RedisServer


class Number(BaseModel):
    n: int = 0


@job(queue="default", name="count")
async def count(data: Number) -> None:
    """Is only dispatched."""


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # nobody says that a loop ends
@pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning")
def test_connections_of_ended_event_loops_are_let_go(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for port in ("dispatching", "flow"):  # to be put back, without our app
        monkeypatch.setattr(f"bullq.jobs.{port}._source", None)
    app = Bullq(jobs=[count], settings=Settings(REDIS_URL=own_server.url))
    most = 0
    with redis.Redis.from_url(own_server.url) as client:
        for n in range(20):
            asyncio.run(count.dispatch(Number(n=n)))
            gc.collect()
            most = max(most, len(client.client_list()))
        assert client.llen("bull:default:wait") == 20
    asyncio.run(app.aclose())
    bind_dispatcher(None)
    bind_flows(None)
    del app
    gc.collect()  # here, where the warnings of what is let go are expected
    assert most <= 1 + 2 * 2  # ours, and those of the loop that has ended and the one before it

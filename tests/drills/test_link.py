"""The link between a process and its server fails as it is told to: drills rest on that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.drills.frames import Frames
from tests.drills.link import Break, Failure, Link, Losses, Moment, linked
from tests.support.servers import RedisServer

NEVER = 0.3  # seconds for which an answer is waited for that does not come
MESSAGES = [
    b"+OK\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n*2\r\n:1\r\n$2\r\nab\r\n",
    b"%1\r\n+a\r\n*1\r\n:1\r\n",
    b"-ERR no\r\n",
]

MakeClient = Callable[[Link], Any]


@pytest.fixture
async def client() -> AsyncIterator[MakeClient]:
    """Make clients that send nothing by themselves and never resend."""
    made: list[Any] = []

    def make(link: Link) -> Any:
        one = redis.asyncio.Redis(
            port=link.port,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=NEVER,
            driver_info=None,
            protocol=2,
        )
        made.append(one)
        return one

    yield make
    for one in made:
        await one.aclose()


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_messages_are_found_however_they_arrive(size: int) -> None:
    stream, frames = b"".join(MESSAGES), Frames()
    found = [
        message
        for start in range(0, len(stream), size)
        for message in frames.feed(stream[start : start + size])
    ]
    assert found == MESSAGES


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("failure", [Failure.CUT, Failure.AWAY, Failure.SILENT])
async def test_a_request_is_lost_before_or_after_it_is_executed(
    valkey: RedisServer, prefix: str, client: MakeClient, moment: Moment, failure: Failure
) -> None:
    async with linked(valkey.port) as link:
        ours = client(link)
        await ours.set(prefix, 1)
        link.planned = Break(link.requests + 2, moment, failure)
        await ours.incr(prefix)
        with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
            await ours.incr(prefix)
        assert link.broken.is_set()
        await link.mend()
        assert int(await ours.get(prefix)) == (2 if moment is Moment.BEFORE else 3)


async def test_a_link_that_is_away_refuses(
    valkey: RedisServer, prefix: str, client: MakeClient
) -> None:
    async with linked(valkey.port) as link:
        link.fail(Failure.AWAY)
        with pytest.raises(redis.ConnectionError):
            await client(link).ping()
        await link.mend()
        assert await client(link).ping()


async def test_a_late_request_arrives_when_its_client_has_gone(
    valkey: RedisServer, prefix: str, client: MakeClient
) -> None:
    async with linked(valkey.port) as link:
        ours, other = client(link), redis.asyncio.Redis.from_url(valkey.url)
        await ours.ping()
        link.planned = Break(link.requests + 1, Moment.BEFORE, Failure.LATE)
        with pytest.raises(redis.TimeoutError):
            await ours.set(prefix, "late")
        assert await other.get(prefix) is None
        await link.mend()
        async with asyncio.timeout(30):
            while await other.get(prefix) is None:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        await other.aclose()


async def test_replies_are_lost_by_chance_and_executed_all_the_same(
    valkey: RedisServer, prefix: str, client: MakeClient
) -> None:
    async with linked(valkey.port) as link:
        link.losses = Losses(0.2, random.Random(7))
        failed = 0
        for _ in range(40):
            try:
                await client(link).incr(prefix)
            except (redis.ConnectionError, redis.TimeoutError):
                failed += 1
        assert failed == link.losses.lost > 2
        link.losses = None
        assert int(await client(link).get(prefix)) == 40

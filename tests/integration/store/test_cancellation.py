"""A task that talks to Redis ends when it is cancelled, whatever the moment."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from bullq.store.cancellation import cancellable
from bullq.store.connection import Store
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer


@pytest.mark.parametrize("steps", range(40))
async def test_a_cancellation_gets_through_at_every_step(valkey: RedisServer, steps: int) -> None:
    store = Store(valkey.url)
    client = store.client()
    await client.ping()

    async def ask_for_ever() -> None:
        while True:
            await client.ping()

    task = asyncio.create_task(ask_for_ever())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=DEADLINE)
    try:
        assert done, "the cancellation was swallowed"
        assert task.cancelled()
        assert await client.echo("mine") == "mine", "the answer of an earlier command was read"
    finally:
        await store.aclose()
        task.cancel()


@pytest.mark.parametrize("kind", [SSLConnection, UnixDomainSocketConnection])
def test_every_kind_of_connection_has_one_that_passes_cancellations_on(kind: type) -> None:
    assert issubclass(cancellable(kind), kind)
    assert cancellable(kind) is not kind

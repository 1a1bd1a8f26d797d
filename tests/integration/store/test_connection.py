from __future__ import annotations

from importlib.metadata import version

from bullq.store.connection import Store
from tests.support.servers import RedisServer


async def test_connections_say_who_they_are(valkey: RedisServer) -> None:
    store = Store(valkey.url)
    blocking = await store.open_blocking("reader")
    try:
        for client in (store.client(), blocking):
            own = await client.client_info()
            assert own["lib-name"] == f"redis-py(bullq_v{version('bullq')})"
            assert own["lib-ver"] == version("redis")
    finally:
        await blocking.aclose(close_connection_pool=True)
        await store.aclose()

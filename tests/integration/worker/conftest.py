from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.dropin import Bench
from tests.support.servers import RedisServer


@pytest.fixture
async def bench(valkey: RedisServer, prefix: str) -> AsyncIterator[Bench]:
    bench = Bench(valkey.url, prefix)
    yield bench
    await bench.aclose()

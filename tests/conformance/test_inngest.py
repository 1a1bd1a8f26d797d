"""Inngest does what every engine does: through the double of its server, or a real one.

BULLQ_TEST_INNGEST_URL names a dev server that runs on this machine.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bullq.testing.conformance import CASES, Case
from tests.conformance.inngest_bench import BENCH, InngestBench, inngest_bench
from tests.support.servers import RedisServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(valkey: RedisServer) -> AsyncIterator[InngestBench]:
    async with inngest_bench(valkey.url, f"t{secrets.token_hex(4)}") as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not case.needs & BENCH.lacks],
    ids=lambda case: case.name,
)
async def test_inngest(bench: InngestBench, case: Case) -> None:
    await case.check(bench)

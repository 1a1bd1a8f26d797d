"""BullMQ, with real workers on a real server, keeps what every engine keeps."""

from __future__ import annotations

import pytest

from bullq.engines import bullmq_memory
from bullq.testing.conformance import CASES, Case
from tests.conformance.bullmq_bench import BullmqBench
from tests.support.servers import RedisServer


@pytest.fixture(autouse=True)
def _short_pauses_leave_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bullmq_memory, "SHORTEST_PAUSE_MS", 50)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_bullmq(case: Case, valkey: RedisServer) -> None:
    await case.check(BullmqBench(valkey))

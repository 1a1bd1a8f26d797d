"""Jobs drawn by chance come to the same on every engine, and log the same rows."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from bullq import JobFailed
from bullq.engines import bullmq_memory
from bullq.testing.conformance import Bench
from bullq.testing.conformance.kit import Input
from tests.conformance.bullmq_bench import BullmqBench
from tests.conformance.inline_bench import InlineBench
from tests.conformance.inngest_bench import inngest_bench
from tests.conformance.programs import drawn, job_of, leaf
from tests.support.servers import RedisServer

SEEDS = range(300, 312)


async def outcomes(bench: Bench) -> dict[int, Any]:
    """Give what each drawn job comes to on an engine: its result or its failure, and its log."""
    found = {}
    for seed in SEEDS:
        body = job_of(drawn(seed), bench)
        async with bench.session(body, leaf) as session:
            run = await session.start(body, Input())
            try:
                end = repr(await run.result())
            except JobFailed as failed:
                end = failed.reason
            found[seed] = (end, sorted(await session.logs(run)))
    return found


async def test_jobs_come_to_the_same_on_every_engine(
    valkey: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bullmq_memory, "SHORTEST_PAUSE_MS", 50)
    inline = await outcomes(InlineBench())
    assert any(logs for _, logs in inline.values())
    assert await outcomes(BullmqBench(valkey)) == inline
    async with inngest_bench(valkey.url, f"t{secrets.token_hex(4)}") as bench:
        assert await outcomes(bench) == inline

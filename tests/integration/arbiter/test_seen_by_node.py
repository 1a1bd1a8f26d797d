"""What Node's clients make of a job that was routed: a completed one that says where it went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.arbiter.conftest import Bench
from tests.interop.node_side import NodeProcess, NodeSide
from tests.support.no_silent_skips import NODE, need
from tests.support.servers import RedisServer

pytestmark = pytest.mark.slow


@pytest.fixture(params=["bullmq", "bullmq5"])
async def node(
    request: pytest.FixtureRequest, bench: Bench, server: RedisServer, tmp_path: Path
) -> AsyncIterator[NodeSide]:
    need(NODE)
    process = NodeProcess(request.param, server.port, tmp_path)
    yield NodeSide(process, bench.keys.prefix)
    process.kill()


async def test_whoever_waits_is_told_where_the_job_went(bench: Bench, node: NodeSide) -> None:
    await bench.add("a")
    waits = asyncio.create_task(
        node.ask("waitUntilFinished", queue="default", id="a", ttl=5_000, deadline=10)
    )
    # Its listener has found the job's first event: it waits for the last one.
    await node.events_until("default", "waiting", "a")
    await bench.settle("a")
    assert await waits == {"routed": "inngest"}
    # Who comes later finds the same on record.
    assert await node.ask("waitUntilFinished", queue="default", id="a", ttl=5_000) == {
        "routed": "inngest"
    }


async def test_a_tombstone_is_a_completed_job_with_its_data(bench: Bench, node: NodeSide) -> None:
    await bench.add("a", attempts=3)
    await bench.settle("a")
    read = await node.read("default", "a")
    assert (read["state"], read["name"], read["data"]) == ("completed", "job", {"n": 1})
    assert (read["returnvalue"], read["opts"]["attempts"]) == ({"routed": "inngest"}, 3)
    assert read["finishedOn"]
    counts = await node.queue("default", "getJobCounts")
    assert (counts["completed"], counts.get("waiting", counts.get("wait"))) == (1, 0)
    # And it is taken: Node's own add of the id changes nothing.
    assert await node.add("default", {"n": 2}, jobId="a") == "a"
    assert (await node.read("default", "a"))["data"] == {"n": 1}

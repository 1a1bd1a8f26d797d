from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import AppFactory
from tests.interop.bullq_process import SPEC
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeProcess, NodeSide
from tests.interop.play import playing
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import running_worker

SHORT: dict[str, Any] = {"lockDuration": 1000, "stalledInterval": 1000}


@BOTH_VERSIONS
async def test_bullq_finishes_the_job_of_a_killed_node_worker(
    node: NodeSide, make_app: AppFactory, valkey: RedisServer, prefix: str, tmp_path: Path
) -> None:
    doomed = NodeProcess(node.process.package, valkey.port, tmp_path)
    try:
        await NodeSide(doomed, prefix).work("default", holds=True, **SHORT)
        job_id = await node.add("default", {"result": "taken over"})
        await node.events_until("default", "active", job_id)
    finally:
        doomed.kill()
    app = make_app(playing(), queues=[SPEC])
    async with running_worker(app, "default", name="heir"):
        job = await node.ended("default", job_id)
    assert (job["returnvalue"], job["processedBy"]) == ("taken over", "heir")
    assert (job["attemptsMade"], job["attemptsStarted"], job["stalledCounter"]) == (1, 2, 1)


@BOTH_VERSIONS
async def test_node_finishes_the_job_of_a_killed_bullq_worker(
    node: NodeSide, valkey: RedisServer, prefix: str
) -> None:
    doomed = bullq_process(valkey.url, prefix)
    try:
        job_id = await node.add("default", {"result": "taken over"})
        await node.events_until("default", "active", job_id)
    finally:
        doomed.kill()
        doomed.wait(DEADLINE)
    await node.work("default", name="heir", **SHORT)
    job = await node.ended("default", job_id)
    assert (job["returnvalue"], job["processedBy"]) == ("taken over", "heir")
    assert (job["attemptsMade"], job["attemptsStarted"], job["stalledCounter"]) == (1, 2, 1)


def bullq_process(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.interop.bullq_process", *arguments]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])

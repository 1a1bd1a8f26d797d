from __future__ import annotations

import time

from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeSide
from tests.interop.play import playing
from tests.support.workers import running_worker


@BOTH_VERSIONS
async def test_a_job_added_in_node_runs_in_bullq(node: NodeSide, make_app: AppFactory) -> None:
    app = make_app(playing())
    before = time.time() * 1000
    async with running_worker(app, "default", name="python-1"):
        job_id = await node.add(
            "default",
            {"log": ["one", "zwei ✓"], "progress": {"page": 3}, "result": {"sum": [1, 2]}},
        )
        job = await node.ended("default", job_id)
    assert job["state"] == "completed"
    assert job["returnvalue"] == {"sum": [1, 2]}
    assert (job["attemptsMade"], job["attemptsStarted"]) == (1, 1)
    assert job["processedBy"] == "python-1"
    assert job["progress"] == {"page": 3}
    assert before - 1000 < job["timestamp"] <= job["processedOn"] <= job["finishedOn"]
    logs = await node.queue("default", "getJobLogs", job_id)
    assert logs == {"logs": ["one", "zwei ✓"], "count": 2}

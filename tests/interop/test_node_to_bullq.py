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


@BOTH_VERSIONS
async def test_the_jitter_of_a_backoff_set_in_node_is_drawn(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    hour = 3_600_000
    backoff = {"type": "fixed", "delay": hour, "jitter": 0.5}
    async with running_worker(app, "default"):
        job_id = await node.add("default", {"failures": 1}, attempts=2, backoff=backoff)
        job = await node.ended("default", job_id, "delayed")
    assert job["state"] == "delayed"
    assert hour / 2 <= job["delay"] < hour


async def test_a_worker_of_bullq_leaves_telemetry_alone_and_collects_no_metrics(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    telemetry = {"metadata": '{"traceparent":"00-1-2-01"}'}
    async with running_worker(app, "default"):
        job_id = await node.add("default", {"failures": 1}, attempts=2, telemetry=telemetry)
        job = await node.ended("default", job_id)
    assert job["opts"]["telemetry"]["metadata"] == telemetry["metadata"]
    assert (await node.queue("default", "getMetrics", "completed"))["count"] == 0

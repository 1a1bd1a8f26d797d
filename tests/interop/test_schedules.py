from __future__ import annotations

import itertools

import pytest

from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeSide
from tests.interop.play import playing
from tests.support.workers import running_worker


@BOTH_VERSIONS
async def test_schedules_made_in_node_go_on_in_bullq(node: NodeSide, make_app: AppFactory) -> None:
    app = make_app(playing())
    template = {"name": "play", "data": {"result": "tick"}, "opts": {"attempts": 2}}
    cron = {"pattern": "* * * * * *", "tz": "America/New_York"}
    await node.queue("default", "upsertJobScheduler", "every", {"every": 1000}, template)
    await node.queue("default", "upsertJobScheduler", "cron", cron, template)
    async with running_worker(app, "default"):
        events = await node.events_until("default", "completed", count=8)
    for scheduler in ("every", "cron"):
        runs = [
            int(event["jobId"].rpartition(":")[2])
            for event in events
            if event["event"] == "completed" and event["jobId"].startswith(f"repeat:{scheduler}:")
        ]
        assert len(runs) >= 3
        gaps = [later - earlier for earlier, later in itertools.pairwise(runs)]
        # Each run's time is on the grid; a machine that stands still for long leaves some out.
        assert all(gap % 1000 == 0 for gap in gaps)
        assert min(gaps) == 1000
        assert await node.queue("default", "removeJobScheduler", scheduler)
    assert await node.queue("default", "getJobSchedulers") == []


@BOTH_VERSIONS
async def test_a_recurring_job_declared_in_bullq_goes_on_in_node(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing(every=1))
    async with running_worker(app, "default") as (_, recorder):
        await recorder.wait_for("job_completed")
    schedulers = await node.queue("default", "getJobSchedulers")
    assert [scheduler["key"] for scheduler in schedulers] == ["bullq-play"]
    assert (schedulers[0]["name"], schedulers[0]["every"]) == ("play", 1000)
    assert schedulers[0]["template"]["opts"]["attempts"] == 3
    await node.work("default", name="node-1")
    by_bullq = recorder.counts["job_completed"]
    await node.events_until("default", "completed", count=by_bullq + 3)
    jobs = await node.queue("default", "getJobs", ["completed"])
    by_node = [job for job in jobs if job["processedBy"] == "node-1"]
    assert len(by_node) >= 3
    assert {job["repeatJobKey"] for job in by_node} == {"bullq-play"}
    assert {job["opts"]["attempts"] for job in by_node} == {3}


@pytest.mark.parametrize("node", ["5.81"], indirect=True)
async def test_a_repeatable_job_of_5_81_goes_on_without_its_data(
    node: NodeSide, make_app: AppFactory
) -> None:
    # As a worker of Node 6.7 leaves it: docs/compatibility.md says to use job schedulers.
    app = make_app(playing())
    await node.add("default", {"result": "once"}, repeat={"every": 1000})
    async with running_worker(app, "default"):
        events = await node.events_until("default", "completed", count=2)
    results = [event["returnvalue"] for event in events if event["event"] == "completed"]
    assert results[:2] == ["once", None]


async def test_a_schedule_in_a_syntax_of_node_alone_fails_its_run_once_and_says_why(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    template = {"name": "play", "data": {}, "opts": {"attempts": 3}}
    hashed = await node.queue(
        "default", "upsertJobScheduler", "hashed", {"pattern": "H H * * *"}, template
    )
    await node.job("default", hashed["id"], "promote")
    async with running_worker(app, "default"):
        job = await node.ended("default", hashed["id"], "failed")
    assert job["failedReason"].startswith("the schedule 'hashed' cannot go on")
    assert job["attemptsMade"] == 1

"""What people do in a Node dashboard while a bullq worker is running."""

from __future__ import annotations

from typing import Any

from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeSide
from tests.interop.play import playing
from tests.support.workers import running_worker

HOUR = 3_600_000


@BOTH_VERSIONS
async def test_a_job_retried_in_node_runs_again(node: NodeSide, make_app: AppFactory) -> None:
    app = make_app(playing())
    async with running_worker(app, "default"):
        job_id = await node.add("default", {"failures": 1, "result": "second run"})
        await node.ended("default", job_id, "failed")
        await node.job("default", job_id, "retry", "failed")
        job = await node.ended("default", job_id)
    assert (job["returnvalue"], job["attemptsMade"]) == ("second run", 2)
    assert job["failedReason"] is None


@BOTH_VERSIONS
async def test_all_failed_jobs_retried_in_node_run_again(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    async with running_worker(app, "default"):
        for _ in range(3):
            await node.add("default", {"failures": 1})
        await node.events_until("default", "failed", count=3)
        await node.queue("default", "retryJobs")
        await node.events_until("default", "completed", count=3)


@BOTH_VERSIONS
async def test_a_delayed_job_promoted_in_node_runs_now(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    async with running_worker(app, "default"):
        job_id = await node.add("default", {"result": 1}, delay=HOUR)
        await node.job("default", job_id, "promote")
        job = await node.ended("default", job_id)
    assert job["returnvalue"] == 1
    assert job["finishedOn"] - job["timestamp"] < HOUR


async def test_a_delay_changed_in_node_is_the_delay_that_counts(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    async with running_worker(app, "default"):
        job_id = await node.add("default", {}, delay=HOUR)
        await node.job("default", job_id, "changeDelay", 50)
        job = await node.ended("default", job_id)
    assert job["processedOn"] - job["timestamp"] >= 50


async def test_data_edited_in_node_is_the_data_that_runs(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    job_id = await node.add("default", {"result": "old"})
    await node.job("default", job_id, "updateData", {"result": "new"})
    async with running_worker(app, "default"):
        job = await node.ended("default", job_id)
    assert job["returnvalue"] == "new"


async def test_priorities_changed_in_node_are_the_order_of_work(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    ids = [await node.add("default", {}, priority=priority) for priority in (1, 2, 3)]
    await node.job("default", ids[2], "changePriority", {"priority": 0})
    await node.job("default", ids[0], "changePriority", {"priority": 5})
    async with running_worker(app, "default", concurrency=1):
        events = await node.events_until("default", "completed", count=3)
    begun = [event["jobId"] for event in events if event["event"] == "active"]
    assert begun == [ids[2], ids[1], ids[0]]


@BOTH_VERSIONS
async def test_a_job_removed_or_drained_in_node_does_not_run(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    removed, drained = await node.add("default", {}), await node.add("default", {})
    await node.job("default", removed, "remove")
    await node.queue("default", "drain")
    last = await node.add("default", {})
    async with running_worker(app, "default"):
        events = await node.events_until("default", "completed", last)
    assert [event["jobId"] for event in events if event["event"] == "active"] == [last]
    assert await node.read("default", drained) is None


async def test_node_counts_what_bullq_has_done(node: NodeSide, make_app: AppFactory) -> None:
    app = make_app(playing())
    async with running_worker(app, "default"):
        for data in ({}, {}, {"failures": 1}):
            await node.add("default", data)
        await node.events_until("default", "completed", count=2)
        await node.events_until("default", "failed")
        await node.add("default", {}, delay=HOUR)
        await node.add("default", {"pause_ms": 0}, delay=HOUR)
    counts: dict[str, Any] = await node.queue("default", "getJobCounts")
    assert {state: count for state, count in counts.items() if count} == {
        "completed": 2,
        "failed": 1,
        "delayed": 2,
    }

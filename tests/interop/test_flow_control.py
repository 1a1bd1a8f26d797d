from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from bullq import Bullq, QueueSpec, RateLimit
from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeSide
from tests.interop.play import playing
from tests.support.pace import soonest
from tests.support.workers import running_worker


@BOTH_VERSIONS
async def test_pause_and_resume_in_node_stop_and_start_a_bullq_worker(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    async with running_worker(app, "default") as (_, recorder):
        await node.queue("default", "pause")
        job_id = await node.add("default", {})
        with pytest.raises(TimeoutError):
            await recorder.wait_for("job_started", deadline=0.3)
        await node.queue("default", "resume")
        events = await node.events_until("default", "completed", job_id)
    order = [event["event"] for event in events if event["event"] != "added"]
    assert order[:4] == ["paused", "waiting", "resumed", "active"]


async def test_global_concurrency_set_in_node_lets_jobs_follow_without_gaps(
    node: NodeSide, make_app: AppFactory, record_testsuite_property: Any
) -> None:
    app = make_app(playing(), queues=[QueueSpec(name="default", concurrency=4)])
    await node.queue("default", "setGlobalConcurrency", 1)
    # A worker that waits for ever is woken when a job ends, or never.
    async with running_worker(app, "default", longest_block=3_600):
        ids = [await node.add("default", {"pause_ms": 100}) for _ in range(4)]
        jobs = await all_ended(node, ids)
    spans = sorted((job["processedOn"], job["finishedOn"]) for job in jobs)
    gaps = [begin - end for (_, end), (begin, _) in itertools.pairwise(spans)]
    took = spans[-1][1] - spans[0][0]
    record_testsuite_property("4 jobs of 100 ms, global concurrency 1: ms in all", took)
    assert min(gaps) >= 0


@pytest.mark.parametrize("set_by", ["the worker", "Node"])
async def test_a_rate_limit_is_used_to_the_full(
    node: NodeSide, make_app: AppFactory, record_testsuite_property: Any, set_by: str
) -> None:
    limit = RateLimit(2, 0.5) if set_by == "the worker" else None
    app = make_app(playing(), queues=[QueueSpec(name="default", rate_limit=limit)])
    if limit is None:
        await node.queue("default", "setGlobalRateLimit", 2, 500)

    async def took() -> float:
        ids = [await node.add("default", {}) for _ in range(6)]
        jobs = await all_ended(node, ids)
        begun = sorted(job["processedOn"] for job in jobs)
        # A window opens with its first job; another millisecond passes until that job's own time.
        windows = begun[::2]
        assert all(later - earlier >= 499 for earlier, later in itertools.pairwise(windows))
        return float(max(job["finishedOn"] for job in jobs) - begun[0])

    async with running_worker(app, "default"):
        least = await soonest(took, 1_200)
    record_testsuite_property(f"6 jobs at 2 per 500 ms, limit of {set_by}: ms in all", least)
    assert least <= 1_200


async def test_a_queue_limited_by_hand_in_node_goes_on_in_time(
    node: NodeSide, make_app: AppFactory, record_testsuite_property: Any
) -> None:
    app = make_app(playing())

    async def late() -> float:
        earliest = await server_ms(app) + 300
        await node.queue("default", "rateLimit", 300)
        latest = await server_ms(app) + 300
        job_id = await node.add("default", {})
        begun = (await node.ended("default", job_id))["processedOn"]
        assert begun >= earliest - 1
        return float(begun - latest)

    async with running_worker(app, "default"):
        # Without a limit there is nothing to exhaust, in Node as well.
        await node.queue("default", "setGlobalRateLimit", 100, 100)
        least = await soonest(late, 200)
    record_testsuite_property("rateLimit(300): ms late", least)
    assert least < 200


async def test_a_delayed_job_begins_when_it_is_due(
    node: NodeSide, make_app: AppFactory, record_testsuite_property: Any
) -> None:
    async def late() -> float:
        job_id = await node.add("default", {}, delay=700)
        job = await node.ended("default", job_id)
        assert job["processedOn"] >= job["timestamp"] + 700
        return float(job["processedOn"] - job["timestamp"] - 700)

    app = make_app(playing())
    async with running_worker(app, "default"):
        least = await soonest(late, 50)
    record_testsuite_property("delay of 700 ms: ms late", least)
    assert least < 50


async def all_ended(node: NodeSide, ids: list[str]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(node.ended("default", job_id) for job_id in ids)))


async def server_ms(app: Bullq) -> int:
    seconds, micros = await app.store.client().time()
    return int(seconds) * 1000 + int(micros) // 1000

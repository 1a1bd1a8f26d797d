from __future__ import annotations

import asyncio

import pytest

from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeError, NodeSide
from tests.interop.play import Play, playing
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker


@BOTH_VERSIONS
async def test_wait_until_finished_gives_the_result_of_a_job_run_by_bullq(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    job_id = await node.add("default", {"pause_ms": 50, "result": {"sum": [1, "zwei"]}})
    waiting = asyncio.create_task(
        node.ask("waitUntilFinished", queue="default", id=job_id, ttl=60_000)
    )
    async with running_worker(app, "default"):
        assert await waiting == {"sum": [1, "zwei"]}
    again = await node.ask("waitUntilFinished", queue="default", id=job_id, ttl=60_000)
    assert again == {"sum": [1, "zwei"]}


@BOTH_VERSIONS
async def test_wait_until_finished_rejects_with_the_reason(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    job_id = await node.add("default", {"failures": 2}, attempts=2)
    waiting = asyncio.create_task(
        node.ask("waitUntilFinished", queue="default", id=job_id, ttl=60_000)
    )
    async with running_worker(app, "default"):
        with pytest.raises(NodeError, match=r"^Error: failure 2$"):
            await waiting


async def test_wait_until_finished_works_for_a_job_dispatched_and_run_by_bullq(
    node: NodeSide, make_app: AppFactory
) -> None:
    play = playing()
    app = make_app(play)
    receipt = await play.dispatch(Play(result="both ends"))
    async with running_worker(app, "default"):
        assert (
            await node.ask("waitUntilFinished", queue="default", id=receipt.id, ttl=60_000)
            == "both ends"
        )


@BOTH_VERSIONS
async def test_node_lists_the_worker_once_with_its_name(
    node: NodeSide, make_app: AppFactory, prefix: str
) -> None:
    app = make_app(playing())
    async with running_worker(app, "default", name="worker-7") as (_, recorder):
        job_id = await node.add("default", {})
        await recorder.wait_for("job_completed")
        workers = await node.queue("default", "getWorkers")
        assert await node.queue("default", "getWorkersCount") == 1
    assert len(workers) == 1
    assert workers[0]["name"] == "default"
    assert workers[0]["rawname"].endswith(":w:worker-7")
    assert (await node.read("default", job_id))["processedBy"] == "worker-7"


@BOTH_VERSIONS
async def test_node_lists_the_reader_of_results(node: NodeSide, make_app: AppFactory) -> None:
    play = playing()
    app = make_app(play)
    receipt = await play.dispatch(Play(result=1))
    waiting = asyncio.create_task(receipt.result(timeout=DEADLINE))
    async with asyncio.timeout(DEADLINE):
        while not (readers := await node.queue("default", "getQueueEvents")):
            pass
    assert [reader["name"] for reader in readers] == ["default"]
    async with running_worker(app, "default"):
        assert await waiting == 1


async def test_tracebacks_are_kept_oldest_first_within_the_limit(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    all_kept = await node.add("default", {"failures": 3}, attempts=3)
    one_kept = await node.add("default", {"failures": 3}, attempts=3, stackTraceLimit=1)
    async with running_worker(app, "default"):
        all_traces = (await node.ended("default", all_kept, "failed"))["stacktrace"]
        one_trace = (await node.ended("default", one_kept, "failed"))["stacktrace"]
    assert [trace.splitlines()[-1] for trace in all_traces] == [
        f"RuntimeError: failure {number}" for number in (1, 2, 3)
    ]
    assert all(trace.startswith("Traceback (most recent call last)") for trace in all_traces)
    assert [trace.splitlines()[-1] for trace in one_trace] == ["RuntimeError: failure 3"]

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bullq import Bullq
from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.left_behind import left_behind
from tests.interop.node_side import NodeSide
from tests.interop.play import playing
from tests.support.workers import running_worker

QUEUES = ("parents", "default", "data-sync")


def family(first: dict[str, Any], second: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Give a parent with a child on each of two queues; *options* are the first child's."""
    return {
        "name": "play",
        "queueName": "parents",
        "data": {"result": "parent's"},
        "opts": {"jobId": "parent"},
        "children": [
            {
                "name": "play",
                "queueName": "default",
                "data": first,
                "opts": {"jobId": "first", **options},
            },
            {
                "name": "play",
                "queueName": "data-sync",
                "data": second,
                "opts": {"jobId": "second"},
            },
        ],
    }


def only_child(data: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Give the parent with its first child alone.

    A parent that continues does not wait for its other children, and which way it ends when one
    of them is under way is a matter of moments, in Node as well.
    """
    tree = family(data, {}, **options)
    return {**tree, "children": tree["children"][:1]}


FLOWS = {
    "both complete": (family({"result": {"n": 1}}, {"result": [2]}), "completed"),
    "retried child": (family({"failures": 1, "result": 1}, {}, attempts=2), "completed"),
    "fail parent": (family({"failures": 1}, {}, failParentOnFailure=True), "failed"),
    "ignore": (family({"failures": 1}, {}, ignoreDependencyOnFailure=True), "completed"),
    "continue": (only_child({"failures": 1}, continueParentOnFailure=True), "completed"),
    "remove": (family({"failures": 1}, {}, removeDependencyOnFailure=True), "completed"),
}


@BOTH_VERSIONS
async def test_results_of_children_arrive_at_a_parent_run_by_bullq(
    node: NodeSide, make_app: AppFactory, prefix: str
) -> None:
    await node.flow(family({"result": {"n": 1}}, {"result": [2]}))
    async with bullq_workers(flow_app(make_app)):
        parent = await node.ended("parents", "parent")
    assert parent["returnvalue"] == "parent's"
    assert await node.job("parents", "parent", "getChildrenValues") == {
        f"{prefix}:default:first": {"n": 1},
        f"{prefix}:data-sync:second": [2],
    }


@BOTH_VERSIONS
async def test_a_failed_child_fails_its_parent_with_node_s_reason(
    node: NodeSide, make_app: AppFactory, prefix: str
) -> None:
    await node.flow(family({"failures": 1}, {}, failParentOnFailure=True))
    async with bullq_workers(flow_app(make_app)):
        parent = await node.ended("parents", "parent", "failed")
    assert parent["failedReason"] == f"child {prefix}:default:first failed"
    assert parent["attemptsMade"] == 1


@pytest.mark.parametrize("flow", FLOWS)
async def test_a_flow_leaves_what_node_workers_leave(
    node: NodeSide, make_app: AppFactory, prefix: str, flow: str
) -> None:
    tree, ends = FLOWS[flow]
    node_side = NodeSide(node.process, f"{prefix}n")
    bullq_side = NodeSide(node.process, f"{prefix}b")
    app = flow_app(make_app, BULLQ_PREFIX=bullq_side.prefix)
    try:
        by_node = await run(tree, ends, node_side, node_workers(node_side), app.store.url)
        by_bullq = await run(tree, ends, bullq_side, bullq_workers(app), app.store.url)
    finally:
        await node_side.ask("forget")
        await bullq_side.ask("forget")
    assert by_bullq == by_node


async def run(
    tree: dict[str, Any],
    ends: str,
    node: NodeSide,
    workers: contextlib.AbstractAsyncContextManager[None],
    url: str,
) -> dict[str, Any]:
    await node.flow(tree)
    async with workers:
        await node.events_until("parents", ends, "parent")
        if len(tree["children"]) > 1:
            await node.events_until("data-sync", "completed", "second")
    return left_behind(url, node.prefix)


@contextlib.asynccontextmanager
async def node_workers(node: NodeSide) -> AsyncIterator[None]:
    for queue in QUEUES:
        await node.work(queue, name="worker-1")
    yield
    for queue in QUEUES:
        await node.rest(queue)


@contextlib.asynccontextmanager
async def bullq_workers(app: Bullq) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for queue in QUEUES:
            await stack.enter_async_context(running_worker(app, queue, name="worker-1"))
        yield


def flow_app(make_app: AppFactory, **settings: Any) -> Bullq:
    return make_app(*(playing(queue) for queue in QUEUES), **settings)

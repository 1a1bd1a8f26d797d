from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from bullq import Bullq
from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
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


@contextlib.asynccontextmanager
async def bullq_workers(app: Bullq) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for queue in QUEUES:
            await stack.enter_async_context(running_worker(app, queue, name="worker-1"))
        yield


def flow_app(make_app: AppFactory, **settings: Any) -> Bullq:
    return make_app(*(playing(queue) for queue in QUEUES), **settings)

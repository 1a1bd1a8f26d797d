"""Jobs in steps as Node sees them: asleep, waiting for children, some of which Node runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bullq import Context, QueueSpec, RemoteJob, StepFailed, job
from bullq.engines.context import child_id
from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeSide
from tests.interop.play import Play
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker

PARENTS = QueueSpec(name="parents", concurrency=1)

in_node: RemoteJob[Play, Any] = RemoteJob(queue="theirs", name="play", data=Play, result=Any)


@job(queue="parents", name="asks-node")
async def asks_node(play: Play, ctx: Context) -> list[Any]:
    ctx.progress(50)
    before = await ctx.run("before", lambda: "before")
    try:
        return [before, await ctx.invoke("in node", in_node, play)]
    except StepFailed as failed:
        return [before, failed.message]


@job(queue="parents", name="sleeps")
async def sleeps(play: Play, ctx: Context) -> str:
    await ctx.run("before", str, "before")
    await ctx.sleep("nap", timedelta(hours=1))
    return "awake"


@BOTH_VERSIONS
async def test_a_child_that_node_runs_gives_its_result(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(asks_node, in_node, queues=[PARENTS])
    async with running_worker(app, "parents"):
        receipt = await asks_node.dispatch(Play(result={"n": [1]}))
        await node.events_until("parents", "waiting-children", receipt.id)
        waiting = await node.read("parents", receipt.id)
        assert (waiting["state"], waiting["progress"]) == ("waiting-children", 50)
        assert (await node.job("parents", receipt.id, "getDependencies"))["unprocessed"] == [
            f"{node.prefix}:theirs:{child_id(receipt.id, 'in node')}"
        ]
        await node.work("theirs")
        assert await receipt.result(timeout=DEADLINE) == ["before", {"n": [1]}]


@BOTH_VERSIONS
async def test_a_child_that_fails_in_node_is_a_failed_step(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(asks_node, in_node, queues=[PARENTS])
    await node.work("theirs")
    async with running_worker(app, "parents"):
        receipt = await asks_node.dispatch(Play(give_up="not in Node"))
        assert await receipt.result(timeout=DEADLINE) == ["before", "not in Node"]


@BOTH_VERSIONS
async def test_node_sees_a_sleeping_job_as_delayed_and_wakes_it(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(sleeps, queues=[PARENTS])
    async with running_worker(app, "parents"):
        receipt = await sleeps.dispatch(Play())
        await node.events_until("parents", "delayed", receipt.id)
        asleep = await node.read("parents", receipt.id)
        assert (asleep["state"], asleep["attemptsMade"]) == ("delayed", 0)
        assert 3_590_000 < asleep["delay"] <= 3_600_000
        await node.job("parents", receipt.id, "promote")
        assert await receipt.result(timeout=DEADLINE) == "awake"


@BOTH_VERSIONS
async def test_a_sleeping_job_that_node_removes_is_gone(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(sleeps, queues=[PARENTS])
    queue = app.queue("parents")
    async with running_worker(app, "parents"):
        receipt = await sleeps.dispatch(Play())
        await node.events_until("parents", "delayed", receipt.id)
        await node.job("parents", receipt.id, "remove")
        left = [key async for key in queue.store.client().scan_iter(f"*{receipt.id}*")]
    assert left == []

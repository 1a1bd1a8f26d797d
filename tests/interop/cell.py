"""One scenario, put on queues by one side and worked on by another, and all that it leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bullq import Bullq
from tests.conftest import AppFactory
from tests.interop.branch import QUEUES, SPECS
from tests.interop.hands import BullqHand, Hand, NodeHand
from tests.interop.left_behind import left_behind, wipe
from tests.interop.node_side import NodeProcess, NodeSide
from tests.interop.observers import comparable, heard_by_bullq, seen_by_bullq, seen_by_node
from tests.interop.play import playing
from tests.support.workers import running_worker

WORKER = "worker-1"
THE_END = "end-of-test"
"""An event of ours after which nothing more comes; node/listener.mjs hears it, too."""

Side = Literal["node", "bullq"]
Act = Callable[[Hand], Awaitable[None]]


@dataclass(frozen=True)
class Ends:
    """What is waited for: *count* events of a name on a queue (of the job *id*)."""

    event: str = "completed"
    count: int = 1
    queue: str = "default"
    id: str | None = None


@dataclass(frozen=True)
class Phase:
    """Something is done to the queues, and then workers run until it has *ends*; none: no worker.

    *meanwhile* is done while workers run, once *begun* has happened.
    """

    act: Act
    ends: tuple[Ends, ...] = (Ends(),)
    begun: Ends | None = None
    meanwhile: Act | None = None


@dataclass(frozen=True)
class Scenario:
    """What jobs go through, in phases; *feature* is what the documentation calls it.

    *jobs_apart* is for jobs that run side by side, or by times that differ: their events are
    compared without their order. *spec* are fields of the QueueSpecs, *worker* Node's words.
    """

    feature: str
    phases: tuple[Phase, ...]
    queues: tuple[str, ...] = ("default",)
    concurrency: int = 1
    jobs_apart: bool = False
    spec: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)
    tells_drained: bool = True
    """Whether a Node worker tells each `drained`: it tells none while delayed jobs are left."""
    is_heard_later: bool = True
    """Whether the event stream is still there at the end, for who has not listened before."""
    wrong_in: dict[str, str] = field(default_factory=dict)
    """Versions of Node's client that do it wrong as they add, and what they do."""

    def __str__(self) -> str:
        return self.feature


@dataclass(frozen=True)
class Cell:
    """Who adds, and who works; *version* is that of the Node side, and of the observer."""

    version: str
    hand: Side
    worker: Side

    def __str__(self) -> str:
        names = {"node": f"Node {self.version}", "bullq": "bullq"}
        return f"{names[self.hand]} -> {names[self.worker]}"


@dataclass(frozen=True)
class Run:
    """What is left: keys, events by queue, and what each observer sees of it."""

    keys: dict[str, Any]
    events: dict[str, list[dict[str, Any]]]
    """As Node's QueueEvents heard them, in the Node version of the cell."""
    by_node: dict[str, Any]
    by_bullq: dict[str, Any]
    """The same things, seen by both: events, counts by state, jobs."""


async def run_cell(
    scenario: Scenario, cell: Cell, process: NodeProcess, prefix: str, make_app: AppFactory
) -> Run:
    """Play a scenario under a prefix of its own."""
    specs = [replace(spec, concurrency=scenario.concurrency, **scenario.spec) for spec in SPECS]
    jobs = [playing(name) for name in QUEUES]
    app = make_app(*jobs, queues=specs, BULLQ_PREFIX=prefix)
    node = NodeSide(process, prefix)
    hand: Hand = NodeHand(app, node) if cell.hand == "node" else BullqHand(app)
    try:
        for phase in scenario.phases:
            await phase.act(hand)
            if phase.ends:
                async with _working(scenario, cell, node, app):
                    if phase.meanwhile is not None and phase.begun is not None:
                        await _wait(node, phase.begun)
                        await phase.meanwhile(hand)
                    await asyncio.gather(*(_wait(node, end) for end in phase.ends))
        return await _collected(scenario, node, app)
    finally:
        await node.ask("forget")
        await asyncio.to_thread(wipe, app.store.url, prefix)


async def _wait(node: NodeSide, ends: Ends) -> None:
    await node.events_until(ends.queue, ends.event, ends.id, count=ends.count)


@contextlib.asynccontextmanager
async def _working(
    scenario: Scenario, cell: Cell, node: NodeSide, app: Bullq
) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for queue in scenario.queues:
            if cell.worker == "bullq":
                await stack.enter_async_context(running_worker(app, queue, name=WORKER))
            else:
                options: dict[str, Any] = {"name": WORKER, "concurrency": scenario.concurrency}
                await node.work(queue, **options, **scenario.worker)
                stack.push_async_callback(node.rest, queue)
        yield


async def _collected(scenario: Scenario, node: NodeSide, app: Bullq) -> Run:
    keys = await asyncio.to_thread(left_behind, app.store.url, node.prefix)
    by_node, by_bullq = {}, {}
    events = {}
    for queue in scenario.queues:
        live = app.queue(queue)
        by_node[queue], by_bullq[queue] = await seen_by_node(node, queue), await seen_by_bullq(live)
        await live.store.client().xadd(live.keys.key("events"), {"event": THE_END})
        heard = (await node.events_until(queue, THE_END))[:-1]
        by_node[queue]["events"] = comparable(heard, scenario, node.prefix)
        if scenario.is_heard_later:
            heard = await heard_by_bullq(live, THE_END)
        by_bullq[queue]["events"] = comparable(heard, scenario, node.prefix)
        events[queue] = by_node[queue]["events"]
    return Run(keys, events, by_node, by_bullq)

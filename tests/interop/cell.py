"""One scenario, put on queues by one side and worked on by another, and all that it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bullq import Bullq
from tests.conftest import AppFactory
from tests.interop.branch import QUEUES, SPECS
from tests.interop.hands import BullqHand, Hand, NodeHand
from tests.interop.left_behind import left_behind, wipe
from tests.interop.node_side import NodeProcess, NodeSide
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
    """What is left: events by queue as Node's observer heard them and as bullq's did, and keys."""

    events: dict[str, list[dict[str, Any]]]
    heard_by_bullq: dict[str, list[dict[str, Any]]]
    keys: dict[str, Any]


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
    heard: dict[str, list[dict[str, Any]]] = {}
    heard_by_bullq: dict[str, list[dict[str, Any]]] = {}
    for queue in scenario.queues:
        live = app.queue(queue)
        await live.store.client().xadd(live.keys.key("events"), {"event": THE_END})
        heard[queue] = (await node.events_until(queue, THE_END))[:-1]
        heard_by_bullq[queue] = []
        if not scenario.is_heard_later:
            heard_by_bullq[queue] = heard[queue]
            continue
        async for event in live.events(since="0-0", quiet_for=5):
            if event.name == THE_END:
                break
            decoded = {"returnvalue": event.result, "data": event.progress}
            fields = event.fields
            heard_by_bullq[queue].append(
                {**fields, **{key: decoded[key] for key in fields if key in decoded}}
            )
    return Run(
        _comparable(heard, scenario, node.prefix),
        _comparable(heard_by_bullq, scenario, node.prefix),
        keys,
    )


_RUN = re.compile(r"(repeat:[^:]+):\d+")


def _comparable(
    events: dict[str, list[dict[str, Any]]], scenario: Scenario, prefix: str
) -> dict[str, list[dict[str, Any]]]:
    """Give events without what differs from run to run: moments, and the order of neighbours."""
    found = {}
    for queue, entries in events.items():
        listed = [
            {key: _plain(key, value, prefix) for key, value in entry.items()}
            for entry in entries
            if entry["event"] != "drained" or scenario.tells_drained
        ]
        found[queue] = sorted(listed, key=repr) if scenario.jobs_apart else listed
    return found


def _plain(key: str, value: Any, prefix: str) -> Any:
    if key == "delay":
        return "a moment"
    if isinstance(value, str):
        return _RUN.sub(r"\1:run", value).replace(prefix, "")
    return str(value) if key in ("count", "attemptsMade") else value

"""The same jobs run by a Node worker and by a bullq worker, each under a prefix of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import redis

from bullq import QueueSpec
from tests.conftest import AppFactory
from tests.interop.left_behind import left_behind
from tests.interop.node_side import NodeProcess, NodeSide
from tests.interop.play import playing
from tests.support.workers import running_worker

QUEUE = "default"
WORKER = "worker-1"


@dataclass(frozen=True)
class Scenario:
    """Jobs as (data, options), all added before the worker starts, and how the last one ends."""

    name: str
    jobs: list[tuple[dict[str, Any], dict[str, Any]]]
    ends: str = "completed"
    count: int = 1
    concurrency: int = 1
    stored: dict[str, str] = field(default_factory=dict)
    """Fields to set on the first job's hash, as an earlier worker left them."""
    tells_drained: bool = True
    """Whether a Node worker tells each `drained`: it tells none while delayed jobs are left."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Run:
    """What one side left: the queue's events in order, and its keys in Redis."""

    events: list[dict[str, Any]]
    keys: dict[str, Any]


async def both_sides(
    scenario: Scenario, process: NodeProcess, prefix: str, make_app: AppFactory
) -> tuple[Run, Run]:
    """Have the scenario run by a Node worker, then by a bullq worker; Node adds and listens."""
    sides = NodeSide(process, f"{prefix}n"), NodeSide(process, f"{prefix}b")
    app = make_app(playing(QUEUE), queues=[QueueSpec(name=QUEUE)], BULLQ_PREFIX=sides[1].prefix)
    try:
        by_node = await _run(scenario, sides[0], app.store.url, _node_worker(scenario, sides[0]))
        by_bullq = await _run(
            scenario,
            sides[1],
            app.store.url,
            running_worker(app, QUEUE, name=WORKER, concurrency=scenario.concurrency),
        )
    finally:
        for side in sides:
            await side.ask("forget")
    return by_node, by_bullq


async def _run(
    scenario: Scenario,
    node: NodeSide,
    url: str,
    worker: contextlib.AbstractAsyncContextManager[Any],
) -> Run:
    for number, (data, options) in enumerate(scenario.jobs, start=1):
        await node.add(QUEUE, data, **{"jobId": f"job-{number}", **options})
    if scenario.stored:
        with redis.Redis.from_url(url) as client:
            client.hset(f"{node.prefix}:{QUEUE}:job-1", mapping=scenario.stored)
    async with worker:
        await node.events_until(QUEUE, scenario.ends, count=scenario.count)
    keys = left_behind(url, node.prefix)
    await node.queue(QUEUE, "pause")  # an event after which nothing more comes
    return Run(await node.events_until(QUEUE, "paused"), keys)


@contextlib.asynccontextmanager
async def _node_worker(scenario: Scenario, node: NodeSide) -> AsyncIterator[None]:
    await node.work(QUEUE, name=WORKER, concurrency=scenario.concurrency)
    yield
    await node.rest(QUEUE)


_RETRY = {"attempts": 2, "backoff": {"type": "fixed", "delay": 50}}
_EXPONENTIAL = {"backoff": {"type": "exponential", "delay": 20}}
_LATER = {"delay": 2_100}
_OK: dict[str, Any] = {"result": 1}

SCENARIOS = [
    Scenario("success", [({"result": {"a": [1, None, "ü"]}}, {})]),
    Scenario("result null", [({}, {})]),
    Scenario("progress and log", [({"progress": 50, "log": ["a", "b"], "result": "x"}, {})]),
    Scenario("failure", [({"failures": 1}, {})], "failed"),
    Scenario("failure after all attempts", [({"failures": 9}, {"attempts": 3})], "failed"),
    Scenario("given up", [({"give_up": "no use"}, {"attempts": 5})], "failed"),
    Scenario("retry with fixed backoff", [({"failures": 1, "result": 2}, _RETRY)]),
    Scenario("retry at once", [({"failures": 1, "result": 2}, {"attempts": 2})]),
    Scenario("retry at once lifo", [({"failures": 1}, {"attempts": 2, "lifo": True})]),
    Scenario("delayed", [(_OK, {"delay": 60})]),
    Scenario("prioritised", [(_OK, {"priority": 9}), (_OK, {"priority": 1}), (_OK, {})], count=3),
    Scenario("lifo", [(_OK, {}), (_OK, {"lifo": True}), (_OK, {"lifo": True})], count=3),
    Scenario(
        "stack trace limit", [({"failures": 9}, {"attempts": 3, "stackTraceLimit": 1})], "failed"
    ),
    Scenario("remove on complete", [(_OK, {"removeOnComplete": True})]),
    Scenario("remove on fail", [({"failures": 1}, {"removeOnFail": True})], "failed"),
    Scenario("keep two", [(_OK, {"removeOnComplete": 2}) for _ in range(4)], count=4),
    Scenario(
        "keep by age",
        [(_OK, {"removeOnComplete": {"age": 60, "count": 1}}) for _ in range(3)],
        count=3,
    ),
    Scenario("keep logs", [({"log": ["a", "b", "c"]}, {"keepLogs": 2})]),
    Scenario("deduplicated", [(_OK, {"deduplication": {"id": "one"}}) for _ in range(2)]),
    Scenario(
        "deduplicated while active",
        [
            ({"result": n}, {"deduplication": {"id": "one", "keepLastIfActive": True}})
            for n in (1, 2)
        ],
    ),
    Scenario("deduplicated for a time", [(_OK, {"deduplication": {"id": "one", "ttl": 60_000}})]),
    Scenario("retry of a prioritised job", [({"failures": 1}, {"priority": 2, **_RETRY})]),
    Scenario("exponential", [({"failures": 2}, {**_EXPONENTIAL, "attempts": 3})]),
    Scenario("backoff as a number", [({"failures": 1}, {"attempts": 2, "backoff": 30})]),
    Scenario(
        "keep for a second",
        [
            (_OK, {"removeOnComplete": {"age": 1}}),
            (_OK, {"removeOnComplete": {"age": 1}, **_LATER}),
        ],
        count=2,
        tells_drained=False,
    ),
    Scenario(
        "stalled too often",
        [(_OK, {"attempts": 3})],
        "failed",
        stored={"defa": "job stalled more than allowable limit", "stc": "2", "ats": "2"},
    ),
    Scenario(
        "attempts of an older client",
        [({"failures": 9}, {"attempts": 3})],
        "failed",
        stored={"attemptsMade": "2"},
    ),
    Scenario("many at once", [(_OK, {}) for _ in range(30)], count=30, concurrency=1),
]

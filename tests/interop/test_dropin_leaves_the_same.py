"""The same jobs, run by the official worker and by bullq in its place, leave the same in Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import bullmq
import pytest
import redis.asyncio

from bullq import Worker
from tests.interop.left_behind import left_behind
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer

Jobs = list[tuple[dict[str, Any], dict[str, Any]]]


async def process(queue: bullmq.Queue, job: bullmq.Job, token: str) -> Any:
    """Do what the job's data say."""
    data = job.data
    if "progress" in data:
        await job.updateProgress(data["progress"])
        await job.log("at work")
    if data.get("fails", 0) > job.attemptsMade:
        raise ValueError(f"failure {job.attemptsMade + 1}")
    if data.get("unrecoverable"):
        raise bullmq.UnrecoverableError("no use")
    if data.get("delays") and not data.get("delayed"):
        await job.updateData({**data, "delayed": True})
        await job.moveToDelayed(round(time.time() * 1000) + 50, token)
        raise bullmq.DelayedError
    if data.get("children") and not data.get("asked"):
        parent = {"id": job.id, "queue": job.queueQualifiedName}
        await queue.add("child", {}, {"parent": parent, "jobId": "c"})
        await job.updateData({**data, "asked": True})
        if await job.moveToWaitingChildren(token, {}):
            raise bullmq.WaitingChildrenError
    return data.get("result")


def at_once(delay: int) -> dict[str, Any]:
    return {"type": "fixed", "delay": delay}


SCENARIOS: dict[str, tuple[Jobs, dict[str, Any]]] = {
    "results": (
        [
            ({"result": {"text": "ä ☃", "n": [1, 2.5, None]}}, {}),
            ({}, {}),
            ({"result": "plain"}, {"removeOnComplete": True}),
            ({"result": 1}, {"removeOnComplete": {"count": 1}}),
            ({"progress": 50}, {}),
            ({"progress": {"done": 1}}, {"keepLogs": 1}),
        ],
        {},
    ),
    "failures": (
        [
            ({"fails": 1}, {}),
            ({"fails": 1}, {"attempts": 2}),
            ({"fails": 2}, {"attempts": 3, "backoff": at_once(30)}),
            ({"fails": 9}, {"attempts": 2, "backoff": {"type": "exponential", "delay": 20}}),
            ({"fails": 9}, {"attempts": 3, "stackTraceLimit": 1}),
            ({"fails": 9}, {"removeOnFail": True}),
            ({"unrecoverable": True}, {"attempts": 5}),
        ],
        {},
    ),
    "order": (
        [
            ({}, {"priority": 5}),
            ({}, {"priority": 1}),
            ({}, {"lifo": True}),
            ({}, {"delay": 50}),
            ({}, {"deduplication": {"id": "d"}}),
        ],
        {},
    ),
    "moved by themselves": ([({"delays": True}, {}), ({"children": True}, {"attempts": 2})], {}),
    "as the worker says": (
        [({}, {}), ({}, {"removeOnComplete": False}), ({"fails": 1}, {}), ({"fails": 1}, {})],
        {"removeOnComplete": True, "removeOnFail": {"count": 1}, "metrics": {"maxDataPoints": 9}},
    ),
    "own backoff": (
        [
            ({"fails": 2}, {"attempts": 3, "backoff": {"type": "own"}}),
            ({"fails": 9}, {"attempts": 9, "backoff": {"type": "own"}}),
        ],
        {"settings": {"backoffStrategy": lambda made, _kind, _error, _job: 20 if made < 3 else -1}},
    ),
}


async def run(
    kind: Callable[..., Any], url: str, prefix: str, jobs: Jobs, options: dict[str, Any]
) -> dict[str, Any]:
    """Add the jobs, have a worker of this kind run them, and give all that is left."""
    client: Any = redis.asyncio.from_url(url, decode_responses=True)
    connection = {"connection": url, "prefix": prefix}
    queue = bullmq.Queue("q", connection)
    for number, (data, given) in enumerate(jobs):
        await queue.add("job", data, {"jobId": f"j{number}", **given})
    worker = kind("q", partial(process, queue), {**connection, **options})
    async with asyncio.timeout(DEADLINE):
        while await open_jobs(client, f"{prefix}:q"):  # noqa: ASYNC110 - no event tells the last
            await asyncio.sleep(0.02)
        await worker.close()
    left = left_behind(url, prefix)
    left["events"] = by_job([event for _, event in await client.xrange(f"{prefix}:q:events")])
    await queue.close()
    await client.aclose()
    return left


def by_job(events: list[dict[str, str]]) -> dict[str, list[dict[str, Any]]]:
    """Give the events of each job in their order: that of jobs which wait depends on the moment."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        comparable: dict[str, Any] = {name: event[name] for name in event if name != "delay"}
        if "returnvalue" in event:  # one client writes other characters than ASCII's as they are
            comparable["returnvalue"] = json.loads(event["returnvalue"])
        if "jobId" in event:
            found.setdefault(event["jobId"], []).append(comparable)
    return found


async def open_jobs(client: Any, base: str) -> int:
    async with client.pipeline() as pipe:
        pipe.llen(f"{base}:wait").llen(f"{base}:active")
        for name in ("delayed", "prioritized", "waiting-children"):
            pipe.zcard(f"{base}:{name}")
        return sum(await pipe.execute())


def as_the_official_client(left: dict[str, Any]) -> dict[str, Any]:
    """Take out what the official Python worker never writes: who has run a job."""
    for entry in left.values():
        if isinstance(entry, tuple) and isinstance(entry[2], dict):
            entry[2].pop("pb", None)
    return left


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_same_is_left_in_redis(valkey: RedisServer, prefix: str, scenario: str) -> None:
    jobs, options = SCENARIOS[scenario]
    official = await run(bullmq.Worker, valkey.url, f"{prefix}a", jobs, options)
    ours = await run(Worker, valkey.url, f"{prefix}b", jobs, options)
    assert official["events"].keys() >= {f"j{number}" for number in range(len(jobs))}
    assert as_the_official_client(ours) == official

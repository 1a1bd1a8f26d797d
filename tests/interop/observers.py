"""What Node and bullq see of a queue, in a form in which it can be compared."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from bullq.protocol.states import LISTED_STATES

if TYPE_CHECKING:
    from bullq.protocol.record import JobRecord
    from bullq.queues.queue import JobQueue
    from tests.interop.cell import Scenario
    from tests.interop.node_side import NodeSide

_RUN = re.compile(r"(repeat:[^:]+):\d+")


async def seen_by_node(node: NodeSide, queue: str) -> dict[str, Any]:
    """Give the counts and jobs of a queue as Node reads them."""
    counts = await node.queue(queue, "getJobCounts")
    jobs = await node.queue(queue, "getJobs")
    return {
        "counts": {state.value: counts[state.value] for state in LISTED_STATES},
        "jobs": {job["id"]: _of_node(job) for job in jobs},
    }


async def seen_by_bullq(queue: JobQueue) -> dict[str, Any]:
    """Give the same as bullq reads them."""
    counts = await queue.view.counts()
    jobs = [job for state in LISTED_STATES for job in await queue.view.jobs(state, 0, -1)]
    return {
        "counts": {state.value: count for state, count in counts.items()},
        "jobs": {job.id: _of_bullq(job) for job in jobs},
    }


async def heard_by_bullq(queue: JobQueue, until: str) -> list[dict[str, Any]]:
    """Give the queue's events from the first that is kept to the one called *until*."""
    heard: list[dict[str, Any]] = []
    async for event in queue.events(since="0-0", quiet_for=5):
        if event.name == until:
            break
        decoded = {"returnvalue": event.result, "data": event.progress}
        fields = event.fields
        heard.append({**fields, **{key: decoded[key] for key in fields if key in decoded}})
    return heard


def comparable(
    events: list[dict[str, Any]], scenario: Scenario, prefix: str
) -> list[dict[str, Any]]:
    """Give events without what differs from run to run: moments, and the order of neighbours."""
    listed = [
        {key: _plain(key, value, prefix) for key, value in event.items()}
        for event in events
        if event["event"] != "drained" or scenario.tells_drained
    ]
    return sorted(listed, key=repr) if scenario.jobs_apart else listed


def _plain(key: str, value: Any, prefix: str) -> Any:
    if key == "delay":
        return "a moment"
    if isinstance(value, str):
        return _RUN.sub(r"\1:run", value).replace(prefix, "")
    return str(value) if key in ("count", "attemptsMade") else value


def _of_node(job: dict[str, Any]) -> dict[str, Any]:
    names = (
        *("name", "data", "progress", "priority", "delay", "timestamp", "attemptsMade"),
        *("attemptsStarted", "processedBy", "failedReason", "returnvalue", "stacktrace"),
    )
    return {
        **{name: job[name] for name in names},
        "stacktrace": job["stacktrace"] or [],
        "stalled": job["stalledCounter"] or 0,
        "times": [job["processedOn"] or 0, job["finishedOn"] or 0],
        "scheduler": job["repeatJobKey"],
    }


def _of_bullq(job: JobRecord) -> dict[str, Any]:
    result = job.return_value
    return {
        "name": job.name,
        "data": json.loads(job.data),
        "progress": job.progress,
        "priority": job.priority,
        "delay": job.delay,
        "timestamp": job.timestamp,
        "attemptsMade": job.attempts_made,
        "attemptsStarted": job.attempts_started,
        "processedBy": job.processed_by,
        "failedReason": job.failed_reason,
        "returnvalue": None if result is None else json.loads(result),
        "stacktrace": job.stacktrace,
        "stalled": job.stalled_count,
        "times": [job.processed_on, job.finished_on],
        "scheduler": job.scheduler_id,
    }

"""Look at queues and jobs, for people and their tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bullq.protocol.record import JobRecord
from bullq.protocol.states import LISTED_STATES, JobState

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue


@dataclass(frozen=True, slots=True)
class QueueOverview:
    """How many jobs of a queue are in each state, whether it is paused, and who works on it."""

    name: str
    counts: dict[JobState, int]
    paused: bool
    workers: list[str]


@dataclass(frozen=True, slots=True)
class JobDetail:
    """A job, its state and the rows of its log."""

    record: JobRecord
    state: JobState
    logs: list[str]


async def overview(queue: JobQueue) -> QueueOverview:
    """Look at one queue."""
    with queue.store.errors():
        counts = await queue.live.getJobCounts(*(state.value for state in LISTED_STATES))
        paused = await queue.live.isPaused()
        workers = await worker_names(queue)
    return QueueOverview(
        queue.spec.name,
        {state: int(counts.get(state.value, 0)) for state in LISTED_STATES},
        paused,
        workers,
    )


async def worker_names(queue: JobQueue) -> list[str]:
    """Name the workers that listen to a queue now, in Node and in Python."""
    return await queue.view.workers()


async def list_jobs(queue: JobQueue, states: list[JobState], limit: int) -> list[JobDetail]:
    """List jobs state by state, at most *limit* each, those that come or came first first.

    Jobs that ended are listed newest first.
    """
    details: list[JobDetail] = []
    client = queue.store.client()
    with queue.store.errors():
        for state in states:
            key = queue.keys.key(state.key)
            if state.is_list:
                ids = list(reversed(await client.lrange(key, -limit, -1)))
            else:
                ids = await client.zrange(key, 0, limit - 1, desc=state.is_final)
            for job_id in ids:
                fields = await client.hgetall(queue.keys.job(job_id))
                details.append(JobDetail(JobRecord(job_id, fields), state, []))
    return details


async def show_job(queue: JobQueue, job_id: str) -> JobDetail | None:
    """Look at one job; None where the queue has none of that id."""
    with queue.store.errors():
        fields = await queue.store.client().hgetall(queue.keys.job(job_id))
        if not fields:
            return None
        state = await job_state(queue, job_id)
        logs = await queue.live.getJobLogs(job_id)
    return JobDetail(JobRecord(job_id, fields), state, list(logs["logs"]))


async def job_state(queue: JobQueue, job_id: str) -> JobState:
    """Tell the state a job is in; UNKNOWN where there is no such job."""
    with queue.store.errors():
        state = await queue.live.getJobState(job_id)
    return JobState(state) if state in list(JobState) else JobState.UNKNOWN

"""The server of the inline engine: jobs, effects and a clock, all in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bullq.clock import to_ms
from bullq.engines.inline_job import InlineJob
from bullq.errors import ActionRefused, JobNotFound
from bullq.protocol.record import to_json
from bullq.queues.options import job_options
from bullq.queues.spec import STANDARD_QUEUES, QueueSpec

if TYPE_CHECKING:
    from bullq.jobs.job import Job


class InlineStore:
    """What Redis is to BullMQ. The clock stands still; whoever runs the jobs moves it."""

    def __init__(self, queues: Iterable[QueueSpec] = (), now_ms: int | None = None) -> None:
        self.now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self.jobs: dict[str, InlineJob] = {}
        self.effects: dict[tuple[str, str], str] = {}
        self.changed = asyncio.Event()
        self.awaited: list[InlineJob] = []
        """Jobs for which running ones wait: time has to pass though these run."""
        self._specs = {spec.name: spec for spec in (*STANDARD_QUEUES, *queues)}

    def add(
        self,
        job: Job[Any, Any],
        payload: Any,
        job_id: str,
        *,
        delay_ms: int = 0,
        attempts: int | None = None,
        parent: str | None = None,
    ) -> InlineJob:
        """Queue a job; an id that is there already is the job that has it."""
        if job_id in self.jobs:
            return self.jobs[job_id]
        options = job_options(job, self._spec(job))
        added = InlineJob(
            id=job_id,
            job=job,
            data=to_json(job.payload.encode(payload)),
            attempts=attempts or options["attempts"],
            backoff=options["backoff"],
            parent=parent,
            due_ms=self.now_ms + delay_ms,
            state="delayed" if delay_ms else "waiting",
        )
        self.jobs[job_id] = added
        self.changed.set()
        return added

    def timeout_ms(self, job: Job[Any, Any]) -> int | None:
        """Give how long an attempt of a job may take, by its own policy or its queue's."""
        bound = self._spec(job).job_timeout
        return job.policy.timeout_ms or (None if bound is None else to_ms(bound))

    def next_due_ms(self) -> int | None:
        """Tell when the next delayed job is due, None where there is none."""
        return min(
            (job.due_ms for job in self.jobs.values() if job.state == "delayed"), default=None
        )

    def send_event(self, job_id: str, event: str, payload: str) -> None:
        """Keep an event, its payload as JSON text, for a job; wake it where it waits for one."""
        job = self.jobs.get(job_id)
        if job is None:
            raise JobNotFound(f"The event {event!r}: there is no job {job_id}")
        if job.is_final:
            raise ActionRefused(f"The event {event!r}: the job {job_id} has ended already")
        job.events.append((event, payload))
        if job.waits_for_events and job.state == "delayed":
            self.wake(job)

    def remove(self, job_id: str) -> None:
        """Take a job away; one that runs is refused."""
        job = self.jobs.get(job_id)
        if job is None:
            raise JobNotFound(f"There is no job {job_id}")
        if job.state == "active":
            raise ActionRefused(f"The job {job_id} runs; it cannot be removed now")
        del self.jobs[job_id]
        job.failure = "somebody has removed the job before it ended"
        job.ended.set()
        self._tell_parent(job)

    async def until_ended(self, job: InlineJob) -> None:
        """Wait, from inside another job, until a job has ended."""
        self.awaited.append(job)
        self.changed.set()
        try:
            await job.ended.wait()
        finally:
            self.awaited.remove(job)

    def delay(self, job: InlineJob, due_ms: int) -> None:
        """Let a job go on at a time."""
        job.state, job.due_ms = "delayed", due_ms
        self.changed.set()

    def await_children(self, job: InlineJob) -> None:
        """Let a job go on once its children have ended."""
        job.state = "waiting-children"
        if not self._unfinished_children(job):
            self.wake(job)

    def wake(self, job: InlineJob) -> None:
        """Let a job go on now."""
        job.state = "waiting"
        self.changed.set()

    def end(
        self, job: InlineJob, state: str, *, result: str | None = None, failure: str | None = None
    ) -> None:
        """Note how a job has ended."""
        job.state, job.result, job.failure = state, result, failure
        job.ended.set()
        self.changed.set()
        self._tell_parent(job)

    def _spec(self, job: Job[Any, Any]) -> QueueSpec:
        return self._specs.get(job.queue) or QueueSpec(name=job.queue)

    def _tell_parent(self, job: InlineJob) -> None:
        parent = self.jobs.get(job.parent or "")
        if parent is None or not parent.waits_for_children:
            return
        if parent.state == "delayed" or (
            parent.state == "waiting-children" and not self._unfinished_children(parent)
        ):
            self.wake(parent)

    def _unfinished_children(self, parent: InlineJob) -> bool:
        children = [job for job in self.jobs.values() if job.parent == parent.id]
        return any(not child.is_final for child in children)

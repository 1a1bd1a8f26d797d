"""A queue whose jobs carry the trace in which they are added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bullq.queues.queue import JobQueue
from bullq.store.adding import JobKind, NewJob
from bullq.telemetry import otel


class TracedQueue(JobQueue):
    """Adds jobs within spans of *telemetry*, as Node's `add` and `addBulk` do."""

    def __init__(self, telemetry: otel.OpenTelemetry, *given: Any) -> None:
        super().__init__(*given)
        self._telemetry = telemetry

    async def add(self, job: NewJob) -> str:
        """Add a job and give its id, as JobQueue.add() does."""
        queue = self.spec.name
        with self._telemetry.sending("add", queue, f"{queue}.{job.name}") as sending:
            job_id = await super().add(carrying(job, sending.carrier))
            sending.span.set_attributes({otel.JOB_NAME: job.name, otel.JOB_ID: job_id})
            return job_id

    @contextmanager
    def sending(self, job: NewJob) -> Iterator[NewJob]:
        """Give the job with the trace that it carries, within the span in which it is sent."""
        queue = self.spec.name
        with self._telemetry.sending("add", queue, f"{queue}.{job.name}") as sending:
            sending.span.set_attributes({otel.JOB_NAME: job.name, otel.JOB_ID: job.id})
            yield carrying(job, sending.carrier)

    async def add_many(self, jobs: Sequence[NewJob]) -> list[str]:
        """Add jobs and give their ids, as JobQueue.add_many() does."""
        queue = self.spec.name
        with self._telemetry.sending("addBulk", queue, queue) as sending:
            sending.span.set_attributes(
                {otel.BULK_NAMES: [job.name for job in jobs], otel.BULK_COUNT: len(jobs)}
            )
            return await super().add_many(_all_carrying(jobs, sending.carrier))


def carrying(job: NewJob, carrier: str) -> NewJob:
    """Give a job the context to carry, unless it has one, or is to have none (`omc`)."""
    return _all_carrying([job], carrier)[0]


def _all_carrying(jobs: Sequence[NewJob], carrier: str) -> list[NewJob]:
    """Do the same for many, which are of few kinds."""
    carrying: dict[JobKind, JobKind] = {}
    for kind in {job.kind for job in jobs}:
        keep = kind.options.get("tm") or kind.options.get("omc")
        carrying[kind] = kind if keep else JobKind(kind.name, {**kind.options, "tm": carrier})
    return [job._replace(kind=carrying[job.kind]) for job in jobs]

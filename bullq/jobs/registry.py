"""Which jobs there are: one place that maps a queue and a name to a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bullq.errors import JobDefinitionError, UnknownJobError
from bullq.jobs.job import Job
from bullq.jobs.remote import RemoteJob
from bullq.settings import nearest


class JobRegistry:
    """The jobs of one application; refuses two of one name on one queue.

    *recurring_on* names the engine that keeps the time of recurring jobs, of all of them.
    """

    def __init__(self, jobs: Iterable[Job[Any, Any]] = (), *, recurring_on: str = "bullmq") -> None:
        self.recurring_on = recurring_on
        self._jobs: dict[tuple[str, str], Job[Any, Any]] = {}
        problems: list[str] = []
        for job in jobs:
            problems += self._add(job)
        problems += self._shared_with_others()
        if problems:
            raise JobDefinitionError(problems)

    def __iter__(self) -> Iterator[Job[Any, Any]]:
        return iter(self._jobs.values())

    def __len__(self) -> int:
        return len(self._jobs)

    def queues(self) -> set[str]:
        """Name the queues that have at least one job."""
        return {queue for queue, _ in self._jobs}

    def is_remote(self, queue: str) -> bool:
        """Tell whether another service works on the queue: its jobs are RemoteJobs."""
        return any(isinstance(job, RemoteJob) for job in self.on(queue))

    def on(self, queue: str) -> list[Job[Any, Any]]:
        """List the jobs of one queue."""
        return [job for job in self if job.queue == queue]

    def find(self, queue: str, name: str) -> Job[Any, Any]:
        """Give the job, or raise UnknownJobError with the known names and the nearest one."""
        found = self._jobs.get((queue, name))
        if found is None:
            raise UnknownJobError(self._unknown(queue, name))
        return found

    def find_anywhere(self, reference: str) -> Job[Any, Any]:
        """Give the job called *reference*: 'queue/name', or a name that one queue alone has."""
        queue, _, name = reference.rpartition("/")
        if queue:
            return self.find(queue, name)
        found = [job for job in self if job.name == name]
        if len(found) > 1:
            choices = ", ".join(f"{job.queue}/{job.name}" for job in found)
            raise UnknownJobError(f"Several queues have a job {name!r}; say which: {choices}")
        if not found:
            raise UnknownJobError(self._unknown(None, name))
        return found[0]

    def _unknown(self, queue: str | None, name: str) -> str:
        known = sorted({job.name for job in self if queue in (None, job.queue)})
        place = "in this application" if queue is None else f"on the queue {queue!r}"
        if not known:
            return f"No job is called {name!r}: there are no jobs {place}"
        return f"No job is called {name!r} {place}; {nearest(name, known)}known: {', '.join(known)}"

    def _shared_with_others(self) -> list[str]:
        """Say which jobs here would meet workers of another service, which do not know them."""
        return [
            f"{job.location}: the queue {job.queue!r} has jobs that another service runs; BullMQ "
            "gives any job to any worker of its queue, so give this one another queue"
            for job in self
            if not isinstance(job, RemoteJob) and self.is_remote(job.queue)
        ]

    def _add(self, job: Job[Any, Any]) -> list[str]:
        key = (job.queue, job.name)
        if key not in self._jobs:
            self._jobs[key] = job
            return list(job.problems)
        other = self._jobs[key]
        if other is job:  # given twice, as by two names in one module
            return []
        return [
            *job.problems,
            f"{job.location}: the queue {job.queue!r} has a job {job.name!r} already "
            f"({other.location}); give one of them another name with @job(name=...)",
        ]

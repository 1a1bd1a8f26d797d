"""What the official lock manager tells of a worker's locks, for those who ask it."""

from __future__ import annotations

from typing import Protocol

from bullq.worker.dropin.attempt import Attempt


class Holder(Protocol):
    """What is asked of a worker here."""

    @property
    def attempts(self) -> list[Attempt]:
        """The jobs that run now."""
        ...

    def isRunning(self) -> bool:  # noqa: N802 - Node's name
        """Tell whether the worker runs."""
        ...

    def cancelJob(self, job_id: str, reason: str | None = None) -> bool:  # noqa: N802 - official
        """Abort the signal of a job."""
        ...

    def cancelAllJobs(self, reason: str | None = None) -> None:  # noqa: N802 - official
        """Abort the signals of all jobs."""
        ...


class HeldLocks:
    """The locks of a drop-in worker's running jobs, which bullq renews in a thread of its own."""

    def __init__(self, worker: Holder) -> None:
        self._worker = worker

    def get_active_job_count(self) -> int:
        """Tell how many locks are held."""
        return len(self._worker.attempts)

    def get_tracked_job_ids(self) -> list[str]:
        """Tell whose locks are held."""
        return [attempt.record.id for attempt in self._worker.attempts]

    def is_running(self) -> bool:
        """Tell whether locks are renewed: for as long as the worker runs."""
        return self._worker.isRunning()

    def cancel_job(self, job_id: str, reason: str | None = None) -> bool:
        """Abort the signal of a job, as Worker.cancelJob does."""
        return self._worker.cancelJob(job_id, reason)

    def cancel_all_jobs(self, reason: str | None = None) -> None:
        """Abort the signals of all jobs, as Worker.cancelAllJobs does."""
        self._worker.cancelAllJobs(reason)

    async def close(self) -> None:
        """Do nothing: a worker renews locks until it has ended, and closing it ends that, too."""

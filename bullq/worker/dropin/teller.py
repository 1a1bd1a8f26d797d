"""Tell the listeners of a drop-in worker what the worker inside it reports."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bullq.telemetry.hooks import JobEvent, Observer

if TYPE_CHECKING:
    from bullq.worker.dropin.host import Host

_log = logging.getLogger("bullq")


class Teller(Observer):
    """Turns reports into the official events, and logs those for which there is none.

    Listeners to a worker know its queue.
    """

    def __init__(self, worker: Host) -> None:
        self._worker = worker

    def jobs_stalled(self, queue: str, job_ids: list[str]) -> None:  # noqa: ARG002 - see above
        """Emit `stalled` for each job that was taken back."""
        for job_id in job_ids:
            self._worker.emit("stalled", job_id)

    def locks_renewed(self, queue: str, job_ids: list[str]) -> None:  # noqa: ARG002 - see above
        """Emit `locksRenewed`."""
        if job_ids:
            self._worker.emit("locksRenewed", {"count": len(job_ids), "jobIds": job_ids})

    def job_lost(self, job: JobEvent, reason: str) -> None:
        """Emit an `error`: what the job gave is not on record."""
        if not self._worker.forceClosing:
            self._worker.tell_error(RuntimeError(f"could not finish job {job.id}: {reason}"))

    def job_discarded(self, queue: str, job_id: str) -> None:
        """Log that an id without a job was taken out of the queue."""
        _log.warning("took the id %s, which has no job, out of the queue %s", job_id, queue)

    def redis_lost(self, queue: str, reason: str) -> None:  # noqa: ARG002 - see above
        """Emit an `error`, once per outage."""
        self._worker.tell_error(ConnectionError(reason))

    def redis_back(self, queue: str, outage_ms: int) -> None:
        """Log that an outage is over."""
        _log.info("Redis serves the queue %s again, after %s ms", queue, outage_ms)

    def loop_blocked(self, queue: str, lag_ms: float, job: JobEvent | None) -> None:
        """Log what blocks the event loop; called from another thread."""
        what = "something" if job is None else f"job {job.id} ({job.name})"
        _log.warning("%s of queue %s blocks the event loop since %d ms", what, queue, lag_ms)

    def trouble(
        self,
        queue: str,  # noqa: ARG002 - see above
        message: str,
        error: BaseException | None = None,
    ) -> None:
        """Emit an `error`."""
        trouble = RuntimeError(message)
        trouble.__cause__ = error
        self._worker.tell_error(trouble)

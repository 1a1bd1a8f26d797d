"""The port through which workers tell what they do."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

_log = logging.getLogger("bullq")


class JobEvent(NamedTuple):
    """Which job, and which attempt of how many, from 1.

    *waited_ms* is from when the job was due to its first start, 0 at later attempts; *ran_ms* is
    how long the attempt took, 0 while it has not ended.
    """

    queue: str
    name: str
    id: str
    attempt: int
    attempts: int
    waited_ms: int
    ran_ms: float = 0.0


class DispatchEvent(NamedTuple):
    """How a dispatch that could fall back, or was confirmed, has ended.

    *engine* has the job: 'bullmq', 'inngest' or 'outbox'; it is empty where nobody has, or nobody
    knows, and *state* then 'refused', 'unavailable' or 'in-doubt'. *reason* is a Reason's value, or
    empty. *pickup_ms* is how long a worker took to begin the job, None where none has.
    """

    queue: str
    name: str
    id: str
    engine: str
    state: str
    reason: str
    took_ms: float
    pickup_ms: float | None = None


class CanaryEvent(NamedTuple):
    """What became of a canary, a synthetic job of a queue on one engine.

    *came*: whether it came back, None where that could not be told; *reason* why not. *took_ms* is
    from its sending on.
    """

    queue: str
    engine: str
    came: bool | None
    took_ms: float
    reason: str


class Observer:
    """Hears what a worker does; override what is of interest. Calls come on the event loop."""

    def worker_started(self, queue: str, worker: str, concurrency: int) -> None:
        """Say that a worker listens to its queue."""

    def worker_stopping(self, queue: str, running: int, drain_ms: int) -> None:
        """Say that a worker claims no more, and gives *running* jobs *drain_ms* to end."""

    def worker_stopped(self, queue: str, returned: int) -> None:
        """Say that a worker has ended, and put *returned* jobs back."""

    def job_started(self, job: JobEvent) -> None:
        """Say that an attempt begins."""

    def job_completed(self, job: JobEvent) -> None:
        """Say that a job has completed and that this is on record."""

    def job_failed(self, job: JobEvent, reason: str) -> None:
        """Say that a job has failed for good and that this is on record."""

    def job_retried(self, job: JobEvent, reason: str, delay_ms: int) -> None:
        """Say that an attempt failed and that the next one may begin after *delay_ms*."""

    def job_parked(self, job: JobEvent) -> None:
        """Say that a job waits for something, as its steps ask; its slot is free meanwhile."""

    def job_returned(self, job: JobEvent) -> None:
        """Say that a job went back to its queue, no attempt spent."""

    def job_lost(self, job: JobEvent, reason: str) -> None:
        """Say that a job is no longer this worker's, so that its outcome was not recorded."""

    def job_discarded(self, queue: str, job_id: str) -> None:
        """Say that an id without a job was taken out of the queue."""

    def locks_renewed(self, queue: str, job_ids: list[str]) -> None:
        """Say that running jobs' locks were renewed: a worker still has these jobs."""

    def jobs_stalled(self, queue: str, job_ids: list[str]) -> None:
        """Say that jobs were taken back from workers that had gone silent or died."""

    def jobs_rerouted(self, queue: str, job_ids: list[str]) -> None:
        """Say that no worker began these jobs in time, so that Inngest gets them."""

    def job_dispatched(self, dispatch: DispatchEvent) -> None:
        """Say how a dispatch has ended."""

    def breaker_changed(self, engine: str, state: str) -> None:
        """Say that an engine is spared ('open'), tried again, or used as ever ('closed')."""

    def outbox_changed(self, count: int, oldest_ms: int) -> None:
        """Say how many jobs the outbox keeps, and since when the oldest of them."""

    def canary_came(self, canary: CanaryEvent) -> None:
        """Say that a canary has come back, or why it has not."""

    def redis_lost(self, queue: str, reason: str) -> None:
        """Say that Redis does not serve a worker any more; it goes on trying."""

    def redis_back(self, queue: str, outage_ms: int) -> None:
        """Say that Redis serves a worker again."""

    def schedule_changed(self, queue: str, schedule_id: str, change: str) -> None:
        """Say that a recurring job was scheduled anew or removed."""

    def loop_blocked(self, queue: str, lag_ms: float, job: JobEvent | None) -> None:
        """Say that the event loop has not answered for *lag_ms*, once per block, while it lasts.

        *job* is the one that blocks it, None where that cannot be told. This call alone comes
        from another thread.
        """

    def process_started(self, number: int, pid: int) -> None:
        """Say that a supervisor has started the worker process in the place *number*, from 1."""

    def process_ended(self, number: int, pid: int, how: str, again_in_ms: int | None) -> None:
        """Say that a worker process ended in order, and when it is replaced; None: it is not."""

    def process_died(self, number: int, pid: int, how: str, again_in_ms: int | None) -> None:
        """Say how a worker process died, and when it is replaced; None: it is not."""

    def trouble(self, queue: str, message: str, error: BaseException | None = None) -> None:
        """Say that something went wrong that ends no job and no worker."""


def hears(observer: Observer, what: str) -> bool:
    """Tell whether *observer* does anything at *what*.

    Jobs by the thousand need not be described to one that does not.
    """
    method = getattr(observer, what)
    return getattr(method, "__func__", method) is not getattr(Observer, what)


class Observers(Observer):
    """Several observers as one; what one of them raises reaches neither jobs nor the others."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)
        for name in _CALLS:
            if any(hears(observer, name) for observer in self._observers):
                setattr(self, name, self._teller(name))

    def _teller(self, name: str) -> object:
        calls = [getattr(one, name) for one in self._observers if hears(one, name)]

        def tell(*args: object, **kwargs: object) -> None:
            for call in calls:
                try:
                    call(*args, **kwargs)
                except Exception:  # noqa: BLE001 - an observer may raise anything
                    _log.exception("an observer of bullq failed in %s", name)

        return tell


_CALLS = [name for name in vars(Observer) if not name.startswith("_")]

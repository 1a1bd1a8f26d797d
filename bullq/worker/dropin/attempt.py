"""One attempt of one job by the processor of a drop-in worker."""

from __future__ import annotations

import inspect
import json
import time
from typing import TYPE_CHECKING, Any

from bullmq import AbortController, DelayedError, UnrecoverableError, WaitingChildrenError

from bullq.errors import ResultError
from bullq.protocol.record import to_json
from bullq.store.scripts import Delay, Finish, Return, Settlement
from bullq.worker import outcome
from bullq.worker.dropin.job import ClaimedJob
from bullq.worker.execution import Execution, Stop
from bullq.worker.outcome import Failure
from bullq.worker.rejection import Rejected

if TYPE_CHECKING:
    from bullq.jobs.registry import JobRegistry
    from bullq.queues.queue import JobQueue
    from bullq.store.scripts import Claimed, WorkerScripts
    from bullq.worker.dropin.host import Host
    from bullq.worker.executors import Executors

_BUILT_IN_BACKOFFS = {"fixed", "exponential"}
_NEVER = -1
"""What a backoff strategy gives for a job that is not to be tried again."""


class Attempt(Execution):
    """Calls the worker's processor, and tells its listeners what comes of it."""

    def __init__(  # noqa: PLR0917 - whose attempt it is, and what every Execution is given
        self,
        worker: Host,
        claimed: Claimed,
        queue: JobQueue,
        jobs: JobRegistry,
        scripts: WorkerScripts,
        executors: Executors,
    ) -> None:
        super().__init__(claimed, queue, jobs, scripts, executors)
        self.job = ClaimedJob(worker, claimed.record, claimed.token)
        self.controller = AbortController() if worker.gives_signal else None
        self._worker = worker
        self._moved = False
        self._value: Any = None
        self._error: BaseException | None = None

    def stop(self, why: Stop) -> None:
        """Ask the attempt to end: its signal says so, and a coroutine is cancelled."""
        self.abort(why.value)
        if why is Stop.LOST and not self._worker.forceClosing:
            self._worker.emit("lockRenewalFailed", [self.record.id])
        super().stop(why)

    async def perform(self) -> Settlement | None:
        """Run the attempt; give None also where the processor has moved the job itself."""
        if self._worker.hears("active"):
            self._worker.emit("active", self.job, "waiting")
        settlement = await super().perform()
        if self._moved:
            return None
        if isinstance(settlement, Finish) and self._worker.retention is not None:
            self._worker.retention.apply(settlement, self.record.terms.options or {})
        return settlement

    def abort(self, reason: str | None) -> None:
        """Abort the signal, where the processor takes one."""
        if self.controller is not None:
            self.controller.abort(reason)

    def failure(self, error: BaseException, *, retriable: bool) -> Settlement:
        """Give the settlement of an attempt that failed, as the worker's own backoff says."""
        if self.record.deferred_failure is not None:
            error = UnrecoverableError(self.record.deferred_failure)
        self._error = error
        retriable = retriable and not vars(self.job).get("discarded")
        wait_ms = self._own_wait_ms(error) if retriable else None
        if wait_ms == _NEVER:
            retriable = False
        return outcome.failed(self.record, self.token, Failure(error, retriable, wait_ms))

    def recorded(self, settlement: Settlement, answer: int | str) -> None:
        """Tell the listeners, once it is on record."""
        if isinstance(answer, str) or answer < 0 or isinstance(settlement, Return):
            return
        worker, job = self._worker, self.job
        if isinstance(settlement, Finish) and settlement.completed:
            if worker.hears("completed"):
                job.returnvalue = self._value
                job.finishedOn = round(time.time() * 1000)
                job.attemptsMade = self.record.attempts_made + 1
                worker.emit("completed", job, self._value)
        elif worker.hears("failed"):
            job.failedReason = settlement.fields["failedReason"]
            job.stacktrace = json.loads(settlement.fields["stacktrace"])
            job.attemptsMade = self.record.attempts_made + 1
            if isinstance(settlement, Finish):
                job.finishedOn = round(time.time() * 1000)
            elif isinstance(settlement, Delay):
                job.delay = settlement.delay_ms
            worker.emit("failed", job, self._error)

    def _own_wait_ms(self, error: BaseException) -> int | None:
        """Ask the worker's backoff strategy; None where it has none for this job."""
        attempt = self.record.attempts_made + 1
        strategy = self._worker.backoff_strategy
        backoff = (self.record.terms.options or {}).get("backoff")
        kind = backoff.get("type") if isinstance(backoff, dict) else None
        if strategy is None or kind is None or kind in _BUILT_IN_BACKOFFS:
            return None
        if attempt >= self.record.terms.attempts:
            return _NEVER
        try:
            return max(_NEVER, round(strategy(attempt, kind, error, self.job) or 0))
        except Exception as trouble:  # noqa: BLE001 - the user's function may raise anything
            error.add_note(f"Not tried again: its backoff strategy failed: {trouble!r}")
            self._worker.tell_error(trouble, self.job)
            return _NEVER

    async def _run(self) -> str:
        """Call the processor and give its result as JSON text."""
        worker = self._worker
        arguments: tuple[Any, ...] = (self.job, self.token)
        if self.controller is not None:
            arguments = (*arguments, self.controller.signal)
        try:
            if worker.processor_is_async:
                value = await worker.processor(*arguments)
            else:
                label = f"bullq {self.record.name}"
                value = await self._executors.in_thread(label, worker.processor, arguments)
                if inspect.isawaitable(value):
                    value = await value
        except (DelayedError, WaitingChildrenError):
            self._moved = True
            return "null"
        self._value = value
        if value is None:
            return "null"
        try:
            return to_json(value)
        except (TypeError, ValueError, RecursionError) as error:
            kind = type(value).__name__
            raise Rejected(
                ResultError(
                    f"the job ran, but JSON cannot hold its result of type {kind!r}: {error}"
                )
            ) from error

"""One attempt of one job: from the claimed record to the settlement. No business logic."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from bullq.clock import format_ms, to_ms
from bullq.engines.bullmq import UNRECOVERABLE, BullmqContext
from bullq.engines.ending import AttemptFailed, Lost, Parked
from bullq.errors import GiveUp, PayloadError
from bullq.jobs.failure import is_one_of
from bullq.protocol.record import CorruptRecord
from bullq.store.scripts import Return, Settlement
from bullq.telemetry.hooks import JobEvent
from bullq.worker import outcome, recurring
from bullq.worker.outcome import Failure
from bullq.worker.rejection import Rejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bullq.jobs.job import Job
    from bullq.jobs.registry import JobRegistry
    from bullq.queues.queue import JobQueue
    from bullq.store.scripts import Claimed, WorkerScripts
    from bullq.worker.executors import Executors

_FLUSH_DEADLINE = 5.0  # seconds for a job's last log rows
_CLEAN_UP = 30.0  # seconds for a job whose time is over to clean up after itself
_given_up: set[asyncio.Task[None]] = set()
"""Tasks that go on though their jobs were given up: the event loop alone keeps no task alive."""


ExecutionFactory: TypeAlias = (
    "Callable[[Claimed, JobQueue, JobRegistry, WorkerScripts, Executors], Execution]"
)
"""Makes what performs a claimed job: Execution itself, or one that runs something else."""


class Stop(enum.Enum):
    """Why a worker stops a running attempt."""

    LOST = "its lock is lost"
    SHUTDOWN = "its worker stops"


class Execution:
    """A pipeline over one claimed job: look up, check, run, write the result, settle."""

    def __init__(
        self,
        claimed: Claimed,
        queue: JobQueue,
        jobs: JobRegistry,
        scripts: WorkerScripts,
        executors: Executors,
    ) -> None:
        self.record = claimed.record
        self.token = claimed.token
        self.task: asyncio.Task[None] | None = None
        self.stopped: Stop | None = None
        self.settlement: Settlement | None = None
        """What is being recorded of the attempt; None until it has ended or been given up."""
        self.on_overdue: Callable[[Execution, Settlement], None] | None = None
        """Hears what to record of an attempt that goes on long after its time is over."""
        self._queue = queue
        self._jobs = jobs
        self._scripts = scripts
        self._executors = executors
        self._context: BullmqContext | None = None
        self._event: JobEvent | None = None
        self._alarm: asyncio.TimerHandle
        self._began = time.monotonic()
        self._ended = 0.0

    @property
    def began(self) -> JobEvent:
        """The attempt at its start, for observers."""
        if self._event is None:
            self._event = self._describe()
        return self._event

    @property
    def ended(self) -> JobEvent:
        """The attempt at its end, for observers."""
        ended = self._ended or time.monotonic()
        return self.began._replace(ran_ms=(ended - self._began) * 1000)

    def end(self, settlement: Settlement) -> None:
        """Note that the attempt ends now, and as what it is being recorded."""
        self.settlement = settlement
        self._ended = time.monotonic()

    def stop(self, why: Stop) -> None:
        """Ask the attempt to end: its context says so, and async code is cancelled."""
        self.stopped = self.stopped or why
        if self._context is not None:
            if why is Stop.LOST:
                self._context.lose()
            else:
                self._context.cancel()
        if self.task is not None:
            self.task.cancel()

    def keep_until_ended(self) -> None:
        """Keep the attempt's task, though its worker gives it up: a collected one complains."""
        if self.task is not None:
            _given_up.add(self.task)
            self.task.add_done_callback(_given_up.discard)

    async def perform(self) -> Settlement | None:
        """Run the attempt and give what is to be recorded; None where it is no longer ours."""
        try:
            settlement: Settlement | None = outcome.completed(
                self.record, self.token, await self._result()
            )
        except Rejected as rejected:
            settlement = self.failure(rejected.error, retriable=False)
        except (AttemptFailed, Parked, Lost) as ending:
            settlement = self._by_steps(ending)
        except asyncio.CancelledError as error:
            settlement = self._cancelled(error)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a job ends no worker
            if self.stopped is Stop.SHUTDOWN:
                # Cancelling it made it fail, such as in its clean-up: that spends no attempt.
                settlement = self.returned()
            else:
                settlement = self.failure(error, retriable=not is_one_of(error, UNRECOVERABLE))
        if self._context is not None and self._context.has_written:
            # The outcome stands; a worker that stops now must not turn it into another one.
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(_FLUSH_DEADLINE):
                    await self._context.close()
        return settlement

    def failure(self, error: BaseException, *, retriable: bool) -> Settlement:
        """Give the settlement of an attempt that failed."""
        return outcome.failed(self.record, self.token, Failure(error, retriable))

    def returned(self) -> Return:
        """Give the settlement of an attempt that is given up for another worker to begin anew."""
        return Return(self.record.id, self.token)

    def recorded(self, settlement: Settlement, answer: int | str) -> None:
        """Hear what Redis answered to the attempt's settlement: a number, or an error."""

    async def _result(self) -> str:
        """Check the record, run the job and give its result as JSON text."""
        record = self.record
        try:
            record.check()
            if record.scheduler_id is not None:
                await recurring.move_on(self._queue, record)
        except CorruptRecord as error:
            raise Rejected(error) from None
        if record.deferred_failure is not None:
            raise Rejected(GiveUp(record.deferred_failure))
        return await self._run()

    async def _run(self) -> str:
        """Run the function that the registry has for the job, and give its result."""
        record = self.record
        queue = self._queue.spec.name
        job = self._jobs.find(queue, record.name)
        try:
            data = job.payload.decode(record.data)
        except PayloadError as error:
            raise Rejected(error) from None
        if job.takes_context:
            self._context = self._new_context(job)
        if job.policy.executor == "process":
            async with self._executors.process(job) as process:
                return await self._in_time(job, process.call(job, record.data))
        call = self._in_time(job, self._executors.call(job, data, self._context))
        return await (call if self._context is None else self._context.conclude(call))

    def _new_context(self, job: Job[Any, Any]) -> BullmqContext:
        context = BullmqContext(self._queue, self.record, self.token, self._scripts)
        context.in_thread = lambda function: self._executors.in_thread(
            f"bullq {job.queue}/{job.name}", function, ()
        )
        context.step_timeout_ms = self._timeout_ms(job)
        return context

    def _timeout_ms(self, job: Job[Any, Any]) -> int | None:
        """Give how long an attempt may take; of a job with steps, each of them."""
        bound = self._queue.spec.job_timeout
        return job.policy.timeout_ms or (None if bound is None else to_ms(bound))

    async def _in_time(self, job: Job[Any, Any], call: Awaitable[str]) -> str:
        """Wait for a call within the attempt's timeout."""
        timeout_ms = self._timeout_ms(job)
        if timeout_ms is None:
            return await call
        try:
            async with asyncio.timeout(timeout_ms / 1000) as deadline:
                if self._context is not None:
                    self._context.body_deadline = deadline
                self._give_up_after(deadline, timeout_ms)
                try:
                    return await call
                finally:
                    self._alarm.cancel()
        except TimeoutError:
            if not deadline.expired():
                raise
            if self._context is not None:
                self._context.cancel()
            raise _too_long(timeout_ms) from None

    def _give_up_after(self, deadline: asyncio.Timeout, timeout_ms: int) -> None:
        """Give the attempt up a while after its *deadline*, which can move, if it goes on then.

        It was cancelled and does not heed that: its slot must not stay taken for good.
        """
        loop = asyncio.get_running_loop()
        due = (deadline.when() or loop.time()) + _CLEAN_UP
        if not deadline.expired() or loop.time() < due:
            self._alarm = loop.call_at(due, self._give_up_after, deadline, timeout_ms)
        elif self.on_overdue is not None and self.settlement is None:
            if self._context is not None:
                self._context.lose()
            self.on_overdue(self, self.failure(_too_long(timeout_ms), retriable=True))

    def _describe(self) -> JobEvent:
        record = self.record
        try:
            # Later attempts were due when their backoff, or a pause, was over: no field tells that.
            first = record.attempts_made == 0 and record.attempts_started <= 1
            due = record.timestamp + int(record.options.get("delay") or 0)
            waited_ms = max(0, record.processed_on - due) if first else 0
            attempt, attempts = record.attempts_made + 1, record.attempts
        except (CorruptRecord, TypeError, ValueError):
            waited_ms, attempt, attempts = 0, 1, 1
        return JobEvent(
            queue=self._queue.spec.name,
            name=record.name,
            id=record.id,
            attempt=attempt,
            attempts=attempts,
            waited_ms=waited_ms,
        )

    def _by_steps(self, ending: BaseException) -> Settlement | None:
        """Give what the steps of the job make of the end of its body."""
        if isinstance(ending, Lost):
            self.stopped = Stop.LOST
        if not isinstance(ending, AttemptFailed):
            return None
        if self.stopped is Stop.SHUTDOWN:
            return self.returned()
        failure = Failure(
            ending.error, ending.retriable, counted=ending.counted, fields=ending.fields
        )
        return outcome.failed(self.record, self.token, failure)

    def _cancelled(self, error: asyncio.CancelledError) -> Settlement | None:
        """Tell a cancellation of ours from one that the job raised itself."""
        if self.stopped is Stop.LOST:
            return None
        if self.stopped is Stop.SHUTDOWN:
            return self.returned()
        cause = RuntimeError("the job was cancelled from within: it raised CancelledError")
        cause.__cause__ = error
        return self.failure(cause, retriable=True)


def _too_long(timeout_ms: int) -> TimeoutError:
    return TimeoutError(f"the attempt ran longer than its timeout of {format_ms(timeout_ms)}")

"""One request for a job: from what the server sends to what it is told. No business logic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bullq.clock import format_ms
from bullq.engines.calls import step_failure
from bullq.engines.ending import left_over_row
from bullq.engines.engine import PERMANENT, Interrupt
from bullq.engines.inngest import sdk
from bullq.engines.inngest.context import InngestContext
from bullq.engines.inngest.errors import Told, output
from bullq.engines.inngest.guard import Guard
from bullq.engines.inngest.shared import Ended
from bullq.engines.inngest.steps import Again, InngestSteps
from bullq.errors import DispatchInDoubt, RemoteJobError, StoreUnavailable
from bullq.jobs.failure import is_one_of, reason_of
from bullq.telemetry.hooks import JobEvent

if TYPE_CHECKING:
    from bullq.engines.calls import InThread
    from bullq.engines.inngest.children import Children
    from bullq.engines.inngest.run import Run
    from bullq.engines.inngest.shared import Shared
    from bullq.jobs.job import Job
    from bullq.telemetry.hooks import Observer

_FLUSH_DEADLINE = 2.0  # seconds for the last log rows of a request
_RECORD_DEADLINE = 2.0  # seconds to record how the job ended, which Inngest knows in any case
_FATAL = (*PERMANENT, RemoteJobError, DispatchInDoubt)


class Attempt:
    """A pipeline over one request: check, call, judge, record, answer."""

    def __init__(
        self,
        job: Job[Any, Any],
        run: Run,
        ctx: sdk.Context,
        *,
        shared: Shared,
        children: Children,
        in_thread: InThread,
        observer: Observer,
    ) -> None:
        self._job = job
        self._run = run
        self._ctx = ctx
        self._guard = None if run.guard is None else Guard(run.guard, run, job.name)
        self._shared = shared
        self._observer = observer
        self._steps = InngestSteps(run, ctx, shared, children)
        self._context = InngestContext(job, run, self._steps, shared, in_thread)
        self._began = asyncio.get_running_loop().time()

    async def perform(self) -> Any:
        """Run the body once; give the job's result, or raise what the SDK tells the server."""
        if self._guard is not None and not await self._is_ours(self._guard):
            return {"handled_by": "bullmq"}
        if self._run.attempt == 1 and not sdk.memos(self._ctx):
            self._observer.job_started(self._event())
            self._context.writer.put(self._begin_record)
        try:
            text = await self._judged(self._body)
            self._tell_left_over()
        except (sdk.ResponseInterrupt, sdk.SkipInterrupt):
            raise
        except Again as again:
            raise self._retried(again.error, again.wait_ms) from None
        except asyncio.CancelledError:
            self._context.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a job ends no server
            raise await self._failed(error) from None
        finally:
            self._context.ended = True
            await self._context.writer.close(_FLUSH_DEADLINE)
        await self._recorded(completed=True, value=text)
        self._observer.job_completed(self._event())
        return output(text)

    async def _is_ours(self, guard: Guard) -> bool:
        """Ask whether the job is to run here; where nobody can know, it fails for good."""
        try:
            return await guard.lets_run(self._ctx, self._shared)
        except DispatchInDoubt as error:
            raise await self._failed(error) from None

    async def _body(self) -> str:
        """Call the job's function and give its result as JSON text."""
        job, context = self._job, self._context
        data = job.payload.decode(self._run.data)
        call = partial(job.function, *self._arguments(data))
        value = await self._in_time(call() if job.is_async else context.in_thread(call))
        return job.result.encode(value)

    def _arguments(self, data: Any) -> tuple[Any, ...]:
        return (data, self._context) if self._job.takes_context else (data,)

    async def _judged(self, body: Callable[[], Awaitable[str]]) -> str:
        """Run the body and let count, in this order: a misuse, an interrupt, its outcome.

        Code that swallows an interrupt, or a TaskGroup that wraps it, changes nothing.
        """
        try:
            text = await body()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._counts_more()
            raise RuntimeError(
                "the job was cancelled from within: it raised CancelledError"
            ) from error
        except BaseException:
            self._counts_more()
            raise
        self._context.check_left()
        self._counts_more()
        return text

    def _tell_left_over(self) -> None:
        """Log that there are steps on record to which the body has not come, by their number."""
        if left := len(sdk.memos(self._ctx)):
            self._context.put_row(left_over_row(f"{left} of the steps on record"))

    def _counts_more(self) -> None:
        if self._context.misuse is not None:
            raise self._context.misuse
        if self._steps.left is not None:
            raise self._steps.left

    async def _in_time(self, call: Awaitable[Any]) -> Any:
        """Bound the body; the steps in it have the same bound each, and their own failures."""
        timeout_ms = self._run.timeout_ms
        if timeout_ms is None:
            return await call
        try:
            async with asyncio.timeout(timeout_ms / 1000) as deadline:
                self._context.body_deadline = deadline
                return await call
        except TimeoutError:
            if not deadline.expired():
                raise
            self._context.cancel()
            raise TimeoutError(
                f"the attempt ran longer than its timeout of {format_ms(timeout_ms)}"
            ) from None

    def _retried(self, error: BaseException, wait_ms: int) -> sdk.RetryAfterError:
        reason = reason_of(error)
        self._observer.job_retried(self._event(), reason, wait_ms)
        return sdk.RetryAfterError(f"{type(error).__name__}: {reason}", wait_ms, quiet=True)

    async def _failed(self, error: BaseException) -> Exception:
        """Give what tells the server that the body has failed, for good or until it asks again."""
        wait_ms = None if is_one_of(error, _FATAL) else self._run.wait_ms(error)
        if wait_ms is not None and not isinstance(error, Interrupt):
            return self._retried(error, wait_ms)
        failed = step_failure("", error)
        reason = reason_of(error)
        await self._recorded(completed=False, value=reason, trace=failed.trace)
        self._observer.job_failed(self._event(), reason)
        return Told(failed.name, reason, failed.trace, retriable=False)

    async def _recorded(self, *, completed: bool, value: str, trace: str = "") -> None:
        """Put the outcome on our own record. Where that cannot be, it stands at Inngest alone."""
        ended = Ended(
            completed=completed,
            value=value,
            trace=trace,
            name=self._job.name,
            data=self._run.data,
            attempts=self._run.attempts,
            attempts_made=self._run.job_attempt,
            began_ms=self._run.began_ms,
        )
        try:
            async with asyncio.timeout(_RECORD_DEADLINE):
                await self._shared.end(ended)
        except (StoreUnavailable, TimeoutError) as error:
            self._observer.trouble(
                self._job.queue, f"the outcome of job {self._run.job_id} is at Inngest alone", error
            )

    async def _begin_record(self) -> None:
        await self._shared.begin(
            name=self._job.name,
            data=self._run.data,
            attempts=self._run.attempts,
            timestamp=self._run.began_ms,
        )

    def _event(self) -> JobEvent:
        loop = asyncio.get_running_loop()
        return JobEvent(
            queue=self._job.queue,
            name=self._job.name,
            id=self._run.job_id,
            attempt=self._run.job_attempt,
            attempts=self._run.attempts,
            waited_ms=0,
            ran_ms=(loop.time() - self._began) * 1000,
        )

"""Runs jobs in this process, without a server, in virtual time: for tests and local work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bullq.clock import format_ms
from bullq.engines.ending import AttemptFailed, Lost, Parked
from bullq.engines.engine import PERMANENT
from bullq.engines.inline_memory import InlineContext
from bullq.engines.threads import ThreadPool
from bullq.jobs.failure import is_one_of, reason_of
from bullq.jobs.retry import wait_after

if TYPE_CHECKING:
    from bullq.engines.inline_job import InlineJob
    from bullq.engines.inline_store import InlineStore


class InlineEngine:
    """Runs the jobs of one store. Time stands still while they run.

    Jobs that are due run at once, each in a task of its own; the clock goes on only by advance().
    """

    def __init__(self, store: InlineStore) -> None:
        self.store = store
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._threads = ThreadPool(size=8)

    async def settle(self) -> None:
        """Run what is due until nothing is, at the present time."""
        while True:
            self.store.changed.clear()
            for job in list(self.store.jobs.values()):
                if job.state == "delayed" and job.due_ms <= self.store.now_ms:
                    job.state = "waiting"
                if job.state == "waiting" and job.id not in self._tasks:
                    self._start(job)
            waiting = sum(not job.ended.is_set() for job in self.store.awaited)
            if len(self._tasks) <= waiting:
                return
            changed = asyncio.create_task(self.store.changed.wait())
            await asyncio.wait(
                [*self._tasks.values(), changed], return_when=asyncio.FIRST_COMPLETED
            )
            changed.cancel()

    async def advance(self, milliseconds: int) -> None:
        """Let time pass, and run what comes due meanwhile, each at its own time."""
        end = self.store.now_ms + milliseconds
        await self.settle()
        while (due := self.store.next_due_ms()) is not None and due <= end:
            self.store.now_ms = max(self.store.now_ms, due)
            await self.settle()
        self.store.now_ms = end

    def kill(self, job_id: str) -> None:
        """End a job that runs as the death of its worker does: what is on record stays."""
        task = self._tasks.get(job_id)
        if task is not None:
            self.store.jobs[job_id].killed = True
            task.cancel()

    async def aclose(self) -> None:
        """End what runs."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.close()

    def _start(self, job: InlineJob) -> None:
        job.state = "active"
        job.claims += 1
        job.killed = job.waits_for_events = job.waits_for_children = False
        task = asyncio.create_task(self._run(job), name=f"bullq inline {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    async def _run(self, job: InlineJob) -> None:
        context = InlineContext(self.store, job, self._in_thread)
        try:
            result = await context.conclude(_in_time(job, context))
        except Parked:
            return
        except asyncio.CancelledError as error:
            self._cancelled(job, error)
        except AttemptFailed as failed:
            job.fields.update(failed.fields)
            self._fail(job, failed.error, failed.retriable, failed.counted)
        except Lost:
            return
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a job ends no test
            permanent = is_one_of(error, PERMANENT)
            self._fail(job, error, not permanent, job.attempts_made + 1)
        else:
            job.attempts_made += 1
            self.store.end(job, "completed", result=result)

    def _cancelled(self, job: InlineJob, error: asyncio.CancelledError) -> None:
        """Tell the engine's end, and a kill, from a cancellation that the job raised itself."""
        task = asyncio.current_task()
        if job.killed:
            self.store.wake(job)
        elif task is None or task.cancelling():
            raise error
        else:
            cause = RuntimeError("the job was cancelled from within: it raised CancelledError")
            cause.__cause__ = error
            self._fail(job, cause, retriable=True, counted=job.attempts_made + 1)

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        return await self._threads.call("bullq inline", function, ())

    def _fail(self, job: InlineJob, error: BaseException, retriable: bool, counted: int) -> None:  # noqa: FBT001 - as an outcome says it
        job.attempts_made += 1
        job.errors.append(error)
        wait_ms = None
        if retriable and counted < job.attempts:
            wait_ms = wait_after(error, job.backoff, counted)
        if wait_ms is None:
            self.store.end(job, "failed", failure=reason_of(error))
        else:
            self.store.delay(job, self.store.now_ms + wait_ms)


async def _call(job: InlineJob, context: InlineContext) -> str:
    definition = job.job
    data = definition.payload.decode(job.data)
    arguments = (data, context) if definition.takes_context else (data,)
    call = partial(definition.function, *arguments)
    made: Awaitable[Any] = call() if definition.is_async else context.in_thread(call)
    return definition.result.encode(await made)


async def _in_time(job: InlineJob, context: InlineContext) -> str:
    """Call the job's function within its timeout, which is real time."""
    timeout_ms = context.step_timeout_ms
    if timeout_ms is None:
        return await _call(job, context)
    try:
        async with asyncio.timeout(timeout_ms / 1000) as deadline:
            context.body_deadline = deadline
            return await _call(job, context)
    except TimeoutError:
        if not deadline.expired():
            raise
        raise TimeoutError(
            f"the attempt ran longer than its timeout of {format_ms(timeout_ms)}"
        ) from None

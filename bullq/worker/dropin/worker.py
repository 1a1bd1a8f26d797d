"""The official client's Worker with bullq's loop in it: change one import and nothing else."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from bullmq import Worker as OfficialWorker

from bullq.errors import InvalidOptionError, StoreUnavailable
from bullq.jobs.registry import JobRegistry
from bullq.queues.queue import JobQueue
from bullq.store.connection import Store
from bullq.worker.dropin.attempt import Attempt
from bullq.worker.dropin.emitter import Emitter
from bullq.worker.dropin.host import Host
from bullq.worker.dropin.locks import HeldLocks
from bullq.worker.dropin.options import DEFAULTS, check_processor, read_options
from bullq.worker.dropin.retention import Retention
from bullq.worker.dropin.teller import Teller
from bullq.worker.worker import Worker as Core
from bullq.worker.worker import default_worker_name

_FOR_EVER = timedelta(days=3650)
_RETRY_PAUSE = 0.5  # seconds between attempts to find Redis at the start
_RECORD_DEADLINE = 15.0  # seconds for the last outcomes, once no processor runs any more
_ANSWER_MARGIN = 2.0  # seconds beyond a blocking read within which Redis has to answer


class Worker(Host, OfficialWorker):  # type: ignore[misc]  # bullmq ships no types
    """Runs *processor* for the jobs of the queue *name*, as `bullmq.Worker` does.

    It is one, takes its options and events, and hands the processor the official Job, the lock's
    token and, where it takes a third argument, an AbortSignal. What runs the jobs is bullq's own
    loop. A plain function runs in a thread. Options that it cannot honour raise
    InvalidOptionError; docs/drop-in.md has them all.

    With a processor it runs by itself, on the event loop on which it is made; with *autorun*
    False when `run` is awaited.
    """

    name: str
    opts: dict[str, Any]
    running: bool
    paused: bool
    closing: bool
    closed: bool

    def __init__(
        self,
        name: str,
        processor: Callable[..., Any] | None = None,
        opts: Mapping[str, Any] | None = None,
    ) -> None:
        check_processor(processor)
        given = dict(opts or {})
        self._options = options = read_options(name, given)
        self._store = Store(options.address)
        OfficialWorker.__init__(
            self,
            name,
            processor,
            {**given, "connection": self._store.loose_client(), "autorun": False},
        )
        if self.blockingRedisConnection is not None:
            self.bclient = self.blockingRedisConnection.conn = self._store.loose_client(
                blocking=True
            )
        Emitter.__init__(self)
        self.opts = {"lockRenewTime": self.opts["lockRenewTime"], **DEFAULTS, **given}
        self.lockManager = HeldLocks(self)
        self.backoff_strategy = options.backoff_strategy
        self.retention = Retention(options.retention) if options.retention else None
        self.gives_signal = self._processor_wants_signal
        self.processor_is_async = _is_coroutine_function(processor)
        self._core: Core | None = None
        self._main: asyncio.Task[None] | None = None
        self._autorun: asyncio.Task[None] | None = None
        self._teardown = asyncio.Lock()
        if processor is not None and options.autorun:
            self._autorun = _running_loop().create_task(
                self._run_by_itself(), name=f"bullq worker of {name}"
            )

    @property
    def attempts(self) -> list[Attempt]:
        """The jobs that run now, or whose outcome is being recorded."""
        return [] if self._core is None else list(self._core.executions)  # type: ignore[arg-type]

    def isRunning(self) -> bool:  # noqa: N802 - Node's name
        """Tell whether the worker takes jobs, or would if there were any."""
        return self.running

    def isPaused(self) -> bool:  # noqa: N802 - Node's name
        """Tell whether the worker is paused; other workers of the queue may not be."""
        return self.paused

    async def waitUntilReady(self) -> None:  # noqa: N802 - Node's name
        """Wait until Redis answers."""
        await self._reach()

    async def run(self) -> None:
        """Run the jobs of the queue until the worker is closed."""
        if self.running:
            raise RuntimeError("Worker is already running")
        if self.processor is None:
            raise InvalidOptionError(
                f"The worker of {self.name!r} has no processor to run: give it one, or take jobs "
                "by getNextJob(token)"
            )
        if self.closing:
            return
        self.running = True
        self._main = asyncio.create_task(self._work(), name=f"bullq jobs of {self.name}")
        try:
            await self._main
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if not self.closing or (caller is not None and caller.cancelling()):
                raise  # otherwise close(force=True) has ended the jobs, and nobody this call
        finally:
            self.running = False

    async def close(self, force: bool = False, *, timeout: float | None = None) -> None:  # noqa: ASYNC109, FBT001, FBT002 - the official signature
        """Take no more jobs, wait for those that run, and close the connections.

        *timeout* is how many seconds they have, None for as long as they need; then they are
        cancelled and go back to the queue, no attempt spent. With *force* nothing is waited for:
        they are cancelled and left to the stalled check, as the official client does.
        """
        self._refuse_own_jobs("close")
        if not self.closing:
            self.closing = True
            self.emit("closing")
        self.paused = False
        self._stop_waiting()
        if force:
            self.forceClosing = True
            self.cancelAllJobs("worker force-closed")
            for task in (self._main, self._autorun):
                if task is not None:
                    task.cancel()
        elif self._core is not None:
            self._core.stop(_FOR_EVER if timeout is None else timedelta(seconds=timeout))
        elif self._main is not None:
            self._main.cancel()  # Redis has not been found yet
        await self._wait_for_end()
        async with self._teardown:
            if self.closed:
                return
            if force and self._core is not None:
                await self._core.ask_for_check()
            await self.backend.close(force=True)
            await self._store.aclose()
            self.closed = True
            self.emit("closed")

    async def pause(self, do_not_wait_active: bool = False) -> None:  # noqa: FBT001, FBT002 - the official signature
        """Take no more jobs until resumed, and wait for those that run unless told not to."""
        if not do_not_wait_active:
            self._refuse_own_jobs("pause")
        if not self.paused:
            self.paused = True
            self._stop_waiting()
            if self._core is not None:
                self._core.pause()
                if not do_not_wait_active:
                    await self._core.idle()
        self.emit("paused")

    def resume(self) -> None:
        """Take jobs again."""
        if self.paused:
            self.paused = False
            if self._core is not None:
                self._core.resume()
            self.emit("resumed")

    def cancelJob(self, job_id: str, reason: str | None = None) -> bool:  # noqa: N802 - official
        """Abort the signal of a job that runs here; tell whether it has one.

        A job has a signal where the processor takes a third argument, and it is for the processor
        to heed it.
        """
        found = [one for one in self.attempts if one.record.id == job_id and one.controller]
        for attempt in found:
            attempt.abort(reason)
        return bool(found)

    def cancelAllJobs(self, reason: str | None = None) -> None:  # noqa: N802 - official
        """Abort the signals of all jobs that run here."""
        for attempt in self.attempts:
            attempt.abort(reason)

    def let_go(self, token: str) -> None:
        """Renew the lock of a job no more that its processor has moved itself."""
        if self._core is not None:
            self._core.let_go(token)

    async def waitForJob(self) -> int:  # noqa: N802 - official
        """Wait for the queue's marker, for a caller that takes jobs by getNextJob."""
        async with asyncio.timeout(self.getBlockTimeout(self.blockUntil) + 1 + _ANSWER_MARGIN):
            return int(await super().waitForJob())

    async def _ensure_client_names(self) -> None:
        """Name no connection here: bullq names the one that waits, in a way that servers take."""

    def _refuse_own_jobs(self, what: str) -> None:
        """Raise where a job of this worker calls what would wait for that job to end."""
        task = asyncio.current_task()
        if any(attempt.task is task for attempt in self.attempts):
            raise RuntimeError(
                f"{what}() waits for running jobs, and one of them has called it: begin it as a "
                f"task, asyncio.create_task(worker.{what}()), and let the job end"
            )

    def _stop_waiting(self) -> None:
        """End the wait of a caller that takes jobs by getNextJob: it is given None."""
        if self.waiting is not None:
            self.waiting.cancel()

    async def _run_by_itself(self) -> None:
        try:
            await self.run()
        except Exception as error:  # noqa: BLE001 - nobody awaits this
            self.tell_error(error)

    async def _work(self) -> None:
        """Run bullq's worker, and another one where it ends by an error: nobody else would."""
        await self._reach()
        self.emit("ready")
        while True:
            self._core = self._new_core()
            try:
                await self._core.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, jobs wait
                self.tell_error(error)
                await asyncio.sleep(_RETRY_PAUSE)
                await self._reach()
            if self.closing:
                return

    def _new_core(self) -> Core:
        options = self._options
        core = Core(
            JobQueue(options.spec, self._store, options.prefix),
            JobRegistry(()),
            Teller(self),
            name=options.name or default_worker_name(),
            max_outage=_FOR_EVER,
            renew_locks_every=options.renew_locks_every,
            longest_block=options.longest_block,
            new_execution=partial(Attempt, self),
        )
        if self.paused:
            core.pause()
        return core

    async def _reach(self) -> None:
        """Wait until Redis answers; tell once that it does not."""
        told = False
        while not self.closing:
            try:
                await self._store.check()
            except StoreUnavailable as error:
                if not told:
                    self.tell_error(error)
                    told = True
                await asyncio.sleep(_RETRY_PAUSE)
            else:
                return

    def _running_tasks(self) -> set[asyncio.Task[None]]:
        tasks = (attempt.task for attempt in self.attempts)
        return {task for task in tasks if task is not None and not task.done()}

    async def _wait_for_end(self) -> None:
        """Wait for the processors for as long as they run, and for the rest within a deadline."""
        main = self._main
        if main is None:
            return
        while (running := self._running_tasks()) and not main.done():
            await asyncio.wait({main, *running}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({main}, timeout=_RECORD_DEADLINE)
        if not main.done():  # Redis is away: whoever has these jobs' locks next records them
            main.cancel()
            await asyncio.wait({main})


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidOptionError(
            "No event loop runs for the worker to run on: make it inside a coroutine, or give "
            "'autorun': False and await its run()"
        ) from None


def _is_coroutine_function(processor: Callable[..., Any] | None) -> bool:
    """Tell whether calling *processor* gives a coroutine: a function, or an object's __call__."""
    return inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(
        getattr(processor, "__call__", None)  # noqa: B004 - its kind is asked, not its presence
    )

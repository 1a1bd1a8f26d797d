"""The worker of one queue: boot, run until told to stop, stop in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bullq.clock import to_ms
from bullq.errors import StoreUnavailable
from bullq.protocol.codes import Code, explain
from bullq.protocol.events import ROUTED_VALUE
from bullq.queues.versions import look_at_clients
from bullq.store.lua import is_proven
from bullq.store.scripts import (
    Claim,
    Claimed,
    Delay,
    Discard,
    Finish,
    Return,
    Settlement,
    WorkerScripts,
)
from bullq.telemetry.hooks import Observers, hears
from bullq.worker.exchange import Exchange
from bullq.worker.execution import Execution, Stop
from bullq.worker.executors import Executors
from bullq.worker.health import Health
from bullq.worker.loopwatch import LoopWatch
from bullq.worker.recovery import Recovery
from bullq.worker.recurring import keep_schedules
from bullq.worker.renewal import Renewal
from bullq.worker.sweeper import Sweeper
from bullq.worker.wakeup import LONGEST_BLOCK, Wakeup
from bullq.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from bullq.clock import Duration
    from bullq.jobs.registry import JobRegistry
    from bullq.queues.queue import JobQueue
    from bullq.telemetry.hooks import JobEvent, Observer
    from bullq.worker.execution import ExecutionFactory
    from bullq.worker.heartbeat import Heartbeat
    from bullq.worker.sweeper import Deliver

_MAX_OUTAGE = 300.0  # seconds without an answer from Redis before a worker ends by an error
_CANCEL_GRACE = 2.0  # seconds for cancelled jobs to clean up after themselves
_CANCEL_AGAIN = 0.25  # seconds until an actor that goes on is cancelled again
_SETTLE_DEADLINE = 5.0  # seconds to record the last outcomes once nothing runs any more
_CANNOT_COMPLETE = frozenset({Code.PENDING_DEPENDENCIES, Code.FAILED_CHILDREN})


def default_worker_name() -> str:
    """Name this process in a way that CLIENT SETNAME takes and people recognise."""
    return re.sub(r"[^\w.-]", "-", f"{socket.gethostname()}-{os.getpid()}", flags=re.ASCII)


class Worker:
    """Runs the jobs of one queue.

    Boot: schedules, lock renewal, exchange, wake-up, recovery. A job that the exchange claims
    becomes an Execution, and the settlement that this gives goes back through the exchange.
    With *deliver*, which sends events to another engine, the queue's overdue jobs are swept, too.
    What is *beside* it runs for as long as it does, and never ends by itself.
    """

    def __init__(
        self,
        queue: JobQueue,
        jobs: JobRegistry,
        observer: Observer,
        *,
        name: str | None = None,
        concurrency: int | None = None,
        drain_timeout: Duration | None = None,
        heartbeat: Heartbeat | None = None,
        max_outage: Duration = _MAX_OUTAGE,
        token_prefix: str | None = None,
        renew_locks_every: Duration | None = None,
        longest_block: float = LONGEST_BLOCK,
        new_execution: ExecutionFactory = Execution,
        deliver: Deliver | None = None,
        beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        observer = Observers([observer])  # what one raises must reach no job and no loop
        self.name = name or default_worker_name()
        spec = queue.spec if concurrency is None else replace(queue.spec, concurrency=concurrency)
        self.concurrency = spec.concurrency
        self.health = Health(queue.spec.name, observer, heartbeat)
        self._queue = queue
        self._jobs = jobs
        self._new_execution = new_execution
        self._observer = observer
        self._tells_starts = hears(observer, "job_started")
        self._tells_completions = hears(observer, "job_completed")
        self._drain_ms = to_ms(queue.spec.drain_timeout if drain_timeout is None else drain_timeout)
        self._running: dict[str, Execution] = {}  # by token
        self._returned = 0
        self._executors = Executors(self.concurrency)
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._scripts = WorkerScripts(queue.scripts(), queue.keys, self._claim())
        self._exchange = Exchange(
            queue,
            self._scripts,
            self.health,
            concurrency=self.concurrency,
            on_claimed=self._begin,
            on_answered=self._changed.set,
            token_prefix=token_prefix,
        )
        self._renewal = Renewal(queue, self._lost, observer, renew_locks_every)
        self._loop_watch = LoopWatch(queue.spec.name, observer, self._job_of)
        self._recovery = Recovery(
            queue, self._scripts, observer, self.health, self._exchange.server_ms
        )
        self._sweeper = Sweeper(queue, deliver, observer) if deliver is not None else None
        self._beside = beside
        self._wakeup = Wakeup(queue, self._exchange, self.health, self.name, longest_block)
        self._watchdog = Watchdog(
            queue.store, self._exchange, self._wakeup, self.health, to_ms(max_outage)
        )

    def _claim(self) -> Claim:
        """Give the terms on which jobs are claimed."""
        spec = self._queue.spec
        return Claim(
            lock_duration_ms=spec.lock_duration_ms,
            worker=self.name,
            plain=is_proven("exchange-12"),
            limiter=spec.rate_limit.limiter if spec.rate_limit else None,
            metrics=spec.metrics_minutes,
        )

    @property
    def executions(self) -> list[Execution]:
        """The jobs that run now, or whose outcome is being recorded."""
        return list(self._running.values())

    def stop(self, drain_timeout: Duration | None = None) -> None:
        """Claim no more, let running jobs end within the drain timeout, put the rest back."""
        if drain_timeout is not None:
            self._drain_ms = to_ms(drain_timeout)
        self._exchange.stop_claiming()  # at once: a job that has ended is not to bring the next one
        self._stopping.set()

    def pause(self) -> None:
        """Claim no more until resumed; running jobs go on."""
        self._exchange.stop_claiming()

    def resume(self) -> None:
        """Claim again."""
        if not self._stopping.is_set():
            self._exchange.claim_again()

    def let_go(self, token: str) -> None:
        """Renew the lock of a job no more: its processor has moved it, which ended the lock."""
        self._renewal.release(token)

    async def ask_for_check(self) -> None:
        """Let the next worker look for stalled jobs at once, not when its time has come."""
        await self._recovery.make_due()

    async def idle(self) -> None:
        """Wait until no job runs and all outcomes are recorded, as long as that takes."""
        await self._all_ended(None, quiet=True)

    async def run(self, *, burst: bool = False) -> None:
        """Run until stop() is called or, in a *burst*, until the queue gives no more jobs.

        A burst does not wait for delayed jobs. Raises StoreUnavailable where Redis cannot be
        reached at the start; later the worker waits for it.
        """
        spec = self._queue.spec
        await self._look_at_server()
        here = self._jobs.recurring_on == "bullmq"
        await keep_schedules(self._queue, self._jobs.on(spec.name), self._observer, here=here)
        self._observer.worker_started(spec.name, self.name, self.concurrency)
        self._renewal.start()
        self._loop_watch.start()
        actors = [
            _actor(self._exchange.run(), "exchange"),
            _actor(self._watchdog.run(), "watchdog"),
            _actor(self._recovery.run(), "recovery"),
        ]
        if self._sweeper is not None:
            actors.append(_actor(self._sweeper.run(), "sweeper"))
        actors += [_actor(run(), "beside") for run in self._beside]
        ends = [_actor(self._stopping.wait(), "stop")]
        if burst:
            ends.append(_actor(self._drained(), "burst"))
        try:
            await asyncio.wait([*actors, *ends], return_when=asyncio.FIRST_COMPLETED)
            await self._shut_down(*actors)
        finally:
            await _cancel(*actors, *ends)
            # Where this was cancelled, or the exchange has died, jobs are left: nobody keeps their
            # locks any more, and another worker is to begin them anew.
            for execution in list(self._running.values()):
                execution.keep_until_ended()
                execution.stop(Stop.LOST)
            await self._executors.aclose()
            self._renewal.stop()
            self._loop_watch.stop()
            self._observer.worker_stopped(spec.name, self._returned)

    async def _look_at_server(self) -> None:
        """See that Redis answers, that it is as durable as it has to be, and who else is there."""
        await self._queue.store.check()
        await self._queue.check_durability()
        shared = await look_at_clients(self._queue.store, self._queue.keys)
        if shared.warning:
            self._observer.trouble(self._queue.spec.name, shared.warning)

    async def _shut_down(self, exchange: asyncio.Task[Any], *others: asyncio.Task[Any]) -> None:
        self._exchange.stop_claiming()
        if not exchange.done():
            await self._drain()
        await _cancel(*others)
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_SETTLE_DEADLINE):
                await self._wakeup.restore_marker()
        # An actor that ended by itself has met what it cannot handle: so ends the worker, and
        # whoever started it learns why.
        for actor in (exchange, *others):
            if actor.done() and not actor.cancelled():
                actor.result()

    async def _drained(self) -> None:
        """Wait until the queue has given nothing and nothing of ours is under way."""
        while True:
            await self._exchange.idle.wait()
            if not self._running and self._exchange.is_quiet:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _drain(self) -> None:
        """Let running jobs end, put back those that do not, record all of it."""
        self._observer.worker_stopping(self._queue.spec.name, len(self._running), self._drain_ms)
        await self._all_ended(self._drain_ms / 1000)
        # Newest first, so that the oldest comes next again.
        for execution in reversed(list(self._running.values())):
            execution.stop(Stop.SHUTDOWN)
        await self._all_ended(_CANCEL_GRACE)
        for execution in reversed(list(self._running.values())):
            if execution.settlement is None:
                execution.keep_until_ended()
                self._settle(execution, execution.returned())
        # A claim under way may still bring jobs, which go back at once.
        await self._all_ended(_SETTLE_DEADLINE, quiet=True)

    async def _all_ended(self, seconds: float | None, *, quiet: bool = False) -> None:
        """Wait until no job runs, and the exchange is *quiet* where asked for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running or (quiet and not self._exchange.is_quiet):
                    self._changed.clear()
                    await self._changed.wait()

    def _begin(self, claimed: Claimed) -> None:
        record, token = claimed.record, claimed.token
        if not record.exists:
            self._exchange.settle(Discard(record.id, token), lambda _: None)
            self._observer.job_discarded(self._queue.spec.name, record.id)
            return
        if record.is_elsewhere:
            self._give_back_tombstone(claimed)
            return
        execution = self._new_execution(
            claimed, self._queue, self._jobs, self._scripts, self._executors
        )
        execution.on_overdue = self._give_up
        self._running[token] = execution
        self._renewal.hold(record.id, token)
        if self._tells_starts:
            self._observer.job_started(execution.began)
        execution.task = _actor(self._execute(execution), f"job {record.id}")

    def _give_back_tombstone(self, claimed: Claimed) -> None:
        """End a job that somebody retried by hand while another engine has it: it runs there."""
        record = claimed.record
        ended = Finish(
            record.id,
            claimed.token,
            {},
            completed=True,
            value=ROUTED_VALUE,
            terms=record.terms.completed,
        )
        self._exchange.settle(ended, lambda _: None)

    async def _execute(self, execution: Execution) -> None:
        settlement, has_ended = None, False
        try:
            settlement = await execution.perform()
            has_ended = True
        except Exception as error:  # noqa: BLE001 - a job's slot must not stay taken for ever
            event = execution.ended
            self._observer.trouble(event.queue, f"job {event.id} has no outcome", error)
        if execution.settlement is not None:
            return  # put back already, while the job would not end
        if settlement is not None:
            self._settle(execution, settlement)
            return
        self._end(execution)
        self._exchange.free_slot()
        if execution.stopped is Stop.LOST:
            self._observer.job_lost(execution.ended, Stop.LOST.value)
        elif has_ended:
            self._observer.job_parked(execution.ended)

    def _give_up(self, execution: Execution, settlement: Settlement) -> None:
        """Record the end of an attempt that does not end, as that of a thread that nobody stops."""
        event = execution.ended
        message = f"job {event.id} ({event.name}) goes on though it was cancelled at its timeout"
        self._observer.trouble(event.queue, message)
        execution.keep_until_ended()
        self._settle(execution, settlement)

    def _settle(
        self, execution: Execution, settlement: Settlement, *, frees_slot: bool = True
    ) -> None:
        execution.end(settlement)

        def report(answer: int | str) -> None:
            if answer in _CANNOT_COMPLETE and isinstance(settlement, Finish):
                error = RuntimeError(f"the job cannot complete: {explain(int(answer))}")
                failure = execution.failure(error, retriable=answer != Code.FAILED_CHILDREN)
                self._settle(execution, failure, frees_slot=False)
                return
            self._end(execution)
            execution.recorded(settlement, answer)
            self._tell(execution, settlement, answer)

        self._exchange.settle(settlement, report, frees_slot=frees_slot)

    def _tell(self, execution: Execution, settlement: Settlement, answer: int | str) -> None:
        completed = isinstance(settlement, Finish) and settlement.completed
        if completed and answer == 0 and not self._tells_completions:
            return
        event = execution.ended
        if isinstance(answer, str):
            self._observer.trouble(event.queue, f"Redis cannot record job {event.id}: {answer}")
        elif answer < 0:
            self._observer.job_lost(event, explain(answer))
        elif isinstance(settlement, Return):
            self._returned += 1
            self._observer.job_returned(event)
        elif completed:
            self._observer.job_completed(event)
        elif isinstance(settlement, Finish):
            self._observer.job_failed(event, settlement.value)
        else:
            delay_ms = settlement.delay_ms if isinstance(settlement, Delay) else 0
            reason = settlement.fields.get("failedReason", "")
            self._observer.job_retried(event, reason, delay_ms)

    def _end(self, execution: Execution) -> None:
        self._running.pop(execution.token, None)
        self._renewal.release(execution.token)
        self._changed.set()

    def _lost(self, token: str) -> None:
        execution = self._running.get(token)
        if execution is not None and execution.settlement is None:
            execution.stop(Stop.LOST)

    def _job_of(self, task: asyncio.Task[Any]) -> JobEvent | None:
        """Give the job that a task runs; called from a thread while the loop is blocked."""
        for execution in list(self._running.values()):
            if execution.task is task:
                return execution.began
        return None


def _actor(coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    return asyncio.create_task(coroutine, name=f"bullq {name}")


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; what they raise stays with them.

    A cancellation can get lost and is then repeated: before Python 3.12 `asyncio.wait_for`, by
    which redis-py sends, drops one that comes in the moment in which it returns.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_CANCEL_AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)

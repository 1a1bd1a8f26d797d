"""Check a job and its options, and put it on its queue."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from bullq.dispatch.ids import new_job_id
from bullq.dispatch.receipt import BullmqReceipt
from bullq.errors import DispatchError, InvalidOptionError, SettingsError
from bullq.jobs.dispatching import AS_DEFINED, Dispatcher, DispatchOptions, Receipt
from bullq.queues.options import job_options
from bullq.queues.queue import JobQueue
from bullq.queues.results import ResultWatcher
from bullq.store.adding import JobKind, NewJob
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.jobs.definition import JobDefinition

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")

EventTaker = Callable[[JobQueue, str, str, str], Awaitable[bool]]
"""Takes an event (a job's id, the event's name, its payload as JSON text), or says it did not."""

_MOST_WAYS = 1_000  # to remember; an application has a few
_CLOSE_DEADLINE = 5.0  # seconds to end the background loop
_EVENT_MARGIN_MS = 60_000  # how far this machine's clock may be ahead of the server's


class BullmqDispatcher(Dispatcher):
    """Sends jobs to BullMQ queues; *live_queue* gives a queue on the running event loop.

    *elsewhere* is asked first to take an event for a job: another engine may have the job.
    """

    def __init__(
        self,
        live_queue: Callable[[str], JobQueue],
        *,
        use_bullmq: bool = True,
        elsewhere: EventTaker | None = None,
    ) -> None:
        self._live_queue = live_queue
        self._use_bullmq = use_bullmq
        self._elsewhere = elsewhere
        self._watchers: PerLoop[dict[str, ResultWatcher]] = PerLoop(dict)
        self._background = _BackgroundLoop()
        self._ways: PerLoop[dict[Any, tuple[JobQueue, JobKind]]] = PerLoop(dict)

    async def dispatch(
        self, job: JobDefinition[DataT, ResultT], data: DataT, options: DispatchOptions
    ) -> Receipt[ResultT]:
        """Queue one job."""
        queue, kind = self._way(job, options)
        new = NewJob(
            kind, new_job_id() if options.id is None else options.id, job.payload.write(data)
        )
        since_ms = _now_ms() - _EVENT_MARGIN_MS
        return BullmqReceipt(self, job, await queue.add(new), since_ms)

    async def dispatch_many(
        self, job: JobDefinition[DataT, ResultT], items: Sequence[DataT], options: DispatchOptions
    ) -> list[Receipt[ResultT]]:
        """Queue many jobs in few round trips."""
        queue, kind = self._way(job, options)
        write = job.payload.write
        new = [NewJob(kind, new_job_id(), write(item)) for item in items]
        since_ms = _now_ms() - _EVENT_MARGIN_MS
        try:
            ids = await queue.add_many(new)
        except DispatchError as error:
            error.receipts = {
                place: BullmqReceipt(self, job, job_id, since_ms)
                for place, job_id in error.queued.items()
            }
            raise
        return [BullmqReceipt(self, job, job_id, since_ms) for job_id in ids]

    def here(self, queue_name: str) -> tuple[JobQueue, ResultWatcher]:
        """Give a queue, and who waits for its results, on the running event loop."""
        queue = self._live_queue(queue_name)
        watchers = self._watchers.here()
        if queue_name not in watchers:
            watchers[queue_name] = ResultWatcher(queue.store, queue.keys)
        return queue, watchers[queue_name]

    def receipt(self, job: JobDefinition[Any, ResultT], job_id: str) -> Receipt[ResultT]:
        """Give the receipt of a job that was sent just now."""
        return BullmqReceipt(self, job, job_id, _now_ms() - _EVENT_MARGIN_MS)

    async def send_event(
        self, job: JobDefinition[Any, Any], job_id: str, event: str, payload: str
    ) -> None:
        """Keep an event for a job, and wake it where it waits."""
        queue = self._live_queue(job.queue)
        if self._elsewhere is None or not await self._elsewhere(queue, job_id, event, payload):
            await queue.steps.send_event(job_id, event, payload)

    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run a coroutine on a loop in the background, and wait for it."""
        return self._background.run(call)

    def close(self, close_connections: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End what dispatch_sync has started; *close_connections* runs on its event loop."""
        self._background.close(close_connections)

    def _way(
        self, job: JobDefinition[Any, Any], options: DispatchOptions
    ) -> tuple[JobQueue, JobKind]:
        """Give where a job goes, and what it has in common with others dispatched like it."""
        key: Any = job
        if options is not AS_DEFINED:
            # True is not the same as 1 here, though equal.
            key = (job, options[1:], type(options.priority), type(options.attempts))
        ways = self._ways.here()
        way = ways.get(key)
        if way is None:
            queue = self._queue(job)
            way = queue, _kind(job, queue, options)
            if options.deduplication_id is None:  # these vary
                if len(ways) >= _MOST_WAYS:
                    ways.clear()
                ways[key] = way
        return way

    def _queue(self, job: JobDefinition[Any, Any]) -> JobQueue:
        if not self._use_bullmq:
            raise SettingsError(
                "USE_BULLMQ is off and no other engine is set up, so that the job "
                f"{job.queue}/{job.name} has nowhere to go; set USE_BULLMQ=true"
            )
        return self._live_queue(job.queue)


def _kind(job: JobDefinition[Any, Any], queue: JobQueue, options: DispatchOptions) -> JobKind:
    try:
        return JobKind(job.name, job_options(job, queue.spec, options))
    except ValueError as error:
        raise InvalidOptionError(f"{job.queue}/{job.name}: {error}") from error


class _BackgroundLoop:
    """An event loop in a daemon thread, for callers without one; a new one after a fork."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def run(self, call: Callable[[], Any]) -> Any:
        """Run the coroutine that *call* makes, and wait for its result."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(call(), self._started()).result()
        raise RuntimeError(
            "dispatch_sync and result_sync would block this thread's event loop; "
            "await dispatch() and result() here"
        )

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="bullq dispatch_sync", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self, close_connections: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End the loop, and its thread, once *close_connections* has run on it."""
        with self._guard:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(close_connections(), loop).result(_CLOSE_DEADLINE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_DEADLINE)
        loop.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

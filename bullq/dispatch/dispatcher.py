"""Check a job and its options, and put it on its queue."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from bullq.dispatch.ids import new_job_id
from bullq.dispatch.receipt import BullmqReceipt
from bullq.errors import InvalidOptionError, SettingsError
from bullq.jobs.dispatching import Dispatcher, DispatchOptions, Receipt
from bullq.protocol.record import to_json
from bullq.queues.options import job_options
from bullq.queues.queue import JobQueue
from bullq.queues.results import ResultWatcher
from bullq.store.adding import NewJob
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.jobs.definition import JobDefinition

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")

_CLOSE_DEADLINE = 5.0  # seconds to end the background loop
_EVENT_MARGIN_MS = 60_000  # how far this machine's clock may be ahead of the server's


class BullmqDispatcher(Dispatcher):
    """Sends jobs to BullMQ queues; *live_queue* gives a queue on the running event loop."""

    def __init__(self, live_queue: Callable[[str], JobQueue], *, use_bullmq: bool = True) -> None:
        self._live_queue = live_queue
        self._use_bullmq = use_bullmq
        self._watchers: PerLoop[dict[str, ResultWatcher]] = PerLoop(dict)
        self._background = _BackgroundLoop()

    async def dispatch(
        self, job: JobDefinition[DataT, ResultT], data: DataT, options: DispatchOptions
    ) -> Receipt[ResultT]:
        """Queue one job."""
        [(queue, new)] = self._prepare(job, [data], options)
        sent_ms = _now_ms()
        return self._receipt(job, await queue.add(new), sent_ms)

    async def dispatch_many(
        self, job: JobDefinition[DataT, ResultT], items: Sequence[DataT], options: DispatchOptions
    ) -> list[Receipt[ResultT]]:
        """Queue many jobs in few round trips."""
        prepared = self._prepare(job, items, options)
        if not prepared:
            return []
        sent_ms = _now_ms()
        ids = await prepared[0][0].add_many([new for _, new in prepared])
        return [self._receipt(job, job_id, sent_ms) for job_id in ids]

    def receipt(self, job: JobDefinition[Any, ResultT], job_id: str) -> Receipt[ResultT]:
        """Give the receipt of a job that was sent just now."""
        return self._receipt(job, job_id, _now_ms())

    async def send_event(
        self, job: JobDefinition[Any, Any], job_id: str, event: str, payload: str
    ) -> None:
        """Keep an event for a job, and wake it where it waits."""
        await self._live_queue(job.queue).steps.send_event(job_id, event, payload)

    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run a coroutine on a loop in the background, and wait for it."""
        return self._background.run(call)

    def close(self, close_connections: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End what dispatch_sync has started; *close_connections* runs on its event loop."""
        self._background.close(close_connections)

    def _prepare(
        self, job: JobDefinition[DataT, Any], items: Sequence[DataT], options: DispatchOptions
    ) -> list[tuple[JobQueue, NewJob]]:
        """Check everything before anything is sent."""
        if not self._use_bullmq:
            raise SettingsError(
                "USE_BULLMQ is off and no other engine is set up, so that the job "
                f"{job.queue}/{job.name} has nowhere to go; set USE_BULLMQ=true"
            )
        queue = self._live_queue(job.queue)
        try:
            common = job_options(job, queue.spec, options)
        except ValueError as error:
            raise InvalidOptionError(f"{job.queue}/{job.name}: {error}") from error
        return [
            (
                queue,
                NewJob(
                    job.name,
                    to_json(job.payload.encode(item)),
                    {**common, "jobId": new_job_id() if options.id is None else options.id},
                ),
            )
            for item in items
        ]

    def _receipt(
        self, job: JobDefinition[Any, ResultT], job_id: str, sent_ms: int
    ) -> BullmqReceipt[ResultT]:
        def here() -> tuple[JobQueue, ResultWatcher]:
            queue = self._live_queue(job.queue)
            watchers = self._watchers.here()
            if job.queue not in watchers:
                watchers[job.queue] = ResultWatcher(queue.store, queue.keys)
            return queue, watchers[job.queue]

        return BullmqReceipt(job, job_id, sent_ms - _EVENT_MARGIN_MS, here, self.run_sync)


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

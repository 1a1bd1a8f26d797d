"""The context of a job that BullMQ runs: its log, its progress and its steps are in Redis."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from bullq.engines.bullmq_memory import UNRECOVERABLE, BullmqMemory
from bullq.engines.memo import Memo
from bullq.engines.replaying import ReplayContext
from bullq.errors import StoreUnavailable
from bullq.jobs.failure import sendable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bullq.protocol.record import JobRecord
    from bullq.queues.queue import JobQueue
    from bullq.store.scripts import WorkerScripts

__all__ = ["UNRECOVERABLE", "BullmqContext"]


class BullmqContext(ReplayContext):
    """One attempt of one job. Writes are sent in order by one task, and flushed at the end."""

    engine = "bullmq"

    def __init__(
        self, queue: JobQueue, record: JobRecord, token: str, scripts: WorkerScripts
    ) -> None:
        self.queue = queue.spec.name
        self.job_id = record.id
        self.name = record.name
        self.job_attempt = record.attempts_made + 1
        self.max_attempts = record.attempts
        self.fence = record.attempts_started
        self.loop = asyncio.get_running_loop()
        self._keep_logs: int | None = record.options.get("keepLogs")
        self._live = queue
        self._record = record
        self._token = token
        self._began = time.monotonic()
        self._scripts = scripts
        self._thread = threading.get_ident()
        self._writes: deque[Callable[[], Awaitable[int]]] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the job should stop."""
        return self._cancelled

    def open_memo(self) -> tuple[Memo, BullmqMemory]:
        """Give what is on record of the job's steps, and the hash that keeps it."""
        memo = Memo(self._record.fields, self._record.attempts_made)
        return memo, BullmqMemory(self._live, self._record, self._token, self._began)

    def log(self, message: str) -> None:
        """Add a row to the job's log, unless an earlier run of the body has."""
        if self.repeats:
            return
        row = sendable(str(message))
        self._write(lambda: self._scripts.add_log(self.job_id, row, self._keep_logs))

    def progress(self, value: Any) -> None:
        """Record the job's progress and tell it on the queue's event stream."""
        if self.repeats:
            return
        # Written out now: the job may change what it has passed before it is sent.
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        self._write(lambda: self._scripts.update_progress(self.job_id, text))

    @property
    def has_written(self) -> bool:
        """Whether anything was logged or reported."""
        return self._writes is not None

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._cancelled = True

    def lose(self) -> None:
        """Ask the job to stop, and drop what it writes: the record is another worker's now."""
        self.cancel()
        self.ended = True
        self._closed = True
        if self._writes is not None:
            self._writes.clear()

    async def close(self) -> None:
        """Wait until everything written so far is on record; later writes are dropped."""
        self._closed = True
        if self._writer is not None:
            await self._writer

    async def flush(self) -> None:
        """Wait until what the job has told is on record."""
        if self.has_written:
            await self.close()

    def _write(self, write: Callable[[], Awaitable[int]]) -> None:
        if threading.get_ident() == self._thread:
            self._enqueue(write)
        else:
            self.loop.call_soon_threadsafe(self._enqueue, write)

    def _enqueue(self, write: Callable[[], Awaitable[int]]) -> None:
        if self._closed:
            return
        if self._writes is None:
            self._writes = deque()
        self._writes.append(write)
        if self._writer is None or self._writer.done():
            self._writer = self.loop.create_task(self._send(), name=f"bullq log {self.job_id}")

    async def _send(self) -> None:
        while self._writes:
            write = self._writes.popleft()
            try:
                with self._live.store.errors():
                    await write()
            except StoreUnavailable:
                # A log row is not worth a job: what cannot be written now is dropped, and an
                # outage is told by the worker.
                self._writes.clear()
            except Exception:  # noqa: BLE001, S112 - whatever Redis says to a row, the job goes on
                continue

"""What jobs on Inngest share with everything else: the part of our own store that they need."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bullq.errors import StoreUnavailable

if TYPE_CHECKING:
    from bullq.store.arbiter import Unsettled, Verdict

_log = logging.getLogger("bullq")

SIGNAL = "bullq/signal"
"""The name of all events that wake a job; its data says which job, and which event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run has ended: its result as JSON text, or the reason of its failure."""

    completed: bool
    value: str
    trace: str = ""
    name: str
    data: str
    attempts: int
    attempts_made: int
    began_ms: int


class Shared(ABC):
    """One job's part of the store. A job can do without all but the effects.

    Each raises StoreUnavailable where the store cannot be reached.
    """

    @abstractmethod
    async def begin(self, *, name: str, data: str, attempts: int, timestamp: int) -> None:
        """Give the job a record (payload as JSON text, ms since the epoch) unless it has one."""

    @abstractmethod
    async def log(self, row: str, place: str | None = None) -> None:
        """Add a row to the job's log; one from a *place* in its body only where it is a new one."""

    @abstractmethod
    async def progress(self, text: str) -> None:
        """Record how far the job is (JSON text)."""

    @abstractmethod
    async def end(self, ended: Ended) -> None:
        """Record how the job has ended, under its id, for receipts and dashboards."""

    @abstractmethod
    async def settle(self, job: Unsettled, epoch: str) -> Verdict:
        """Have it decided whether BullMQ has the job; *epoch* is the queue's as it was known."""

    @abstractmethod
    async def find_effect(self, key: str) -> str | None:
        """Give the result that is recorded for an effect of the queue, None where there is none."""

    @abstractmethod
    async def record_effect(self, key: str, result: str) -> str:
        """Record an effect's result unless there is one; give the one that counts."""

    @abstractmethod
    async def take_signal(self, event: str, step: str) -> str | None:
        """Give the payload of the oldest event of that name that no other step has taken.

        The same step is given the same one again.
        """


class Writer:
    """Sends what a job logs and reports, in order, while the job goes on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._writes: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, write: Callable[[], Awaitable[None]]) -> None:
        """Have *write* made; from any thread. What comes after the end is dropped."""
        if not self._closed:
            self._writes.append(write)
            self._loop.call_soon_threadsafe(self._start)

    async def close(self, seconds: float) -> None:
        """Wait at most *seconds* until everything is written, and take no more."""
        self._closed = True
        self._start()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()

    def _start(self) -> None:
        if self._writes and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._send(), name="bullq inngest log")

    async def _send(self) -> None:
        while self._writes:
            write = self._writes.popleft()
            try:
                await write()
            except StoreUnavailable:
                self._writes.clear()  # a log row is not worth a job
            except Exception as error:  # noqa: BLE001 - nor is one that Redis refuses
                _log.warning("a row of a job's log is lost: %s", error)

"""Hear from workers which jobs they have begun: one subscriber for each event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from bullq.errors import StoreUnavailable
from bullq.store.arbiter import read_started, started_channel

if TYPE_CHECKING:
    from bullq.store.connection import Store

_log = logging.getLogger("bullq")

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0  # seconds between attempts to connect
_QUIET = 10.0  # seconds without a word until the connection is tested, and again until it is lost


class Expected:
    """One job that one dispatch waits for."""

    __slots__ = ("_loop", "_waiter", "begun")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.begun = False
        """Whether it was heard that a worker has begun the job."""
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    async def within(self, seconds: float) -> bool:
        """Wait until a worker has begun the job, at most *seconds*; tell whether one has."""
        if self.begun or seconds <= 0:
            return self.begun
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
        return self.begun

    def hear(self) -> None:
        """Hear that a worker has begun the job."""
        self.begun = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pickups:
    """Who waits for which job, and the one who hears of them.

    What is published while nobody listens is not heard: who waits looks at the job, too.
    """

    def __init__(self, store: Store, prefix: str, dispatcher: str) -> None:
        self._store = store
        self._channel = started_channel(prefix, dispatcher)
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[tuple[str, str], list[Expected]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._problem = ""

    def expect(self, queue: str, job_id: str) -> Expected:
        """Listen for a job. The same one may be dispatched twice at the same time."""
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read(), name="bullq pickups")
        expected = Expected(self._loop)
        self._waiting.setdefault((queue, job_id), []).append(expected)
        return expected

    def forget(self, queue: str, job_id: str, expected: Expected) -> None:
        """Listen no longer for whom `expect` has given *expected*."""
        waiting = self._waiting[queue, job_id]
        waiting.remove(expected)
        if not waiting:
            del self._waiting[queue, job_id]

    async def aclose(self) -> None:
        """Listen no more."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    async def _read(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._subscribe_and_listen()
                pause = _FIRST_PAUSE
            except (StoreUnavailable, TimeoutError):
                pass  # dispatches see it, too
            except Exception as error:  # noqa: BLE001 - as of a server without this command
                self._tell_once(error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def _subscribe_and_listen(self) -> None:
        """Hear what comes until the connection is lost."""
        client = await self._store.open_blocking(self._channel)
        pubsub = client.pubsub()
        try:
            with self._store.errors():
                await pubsub.subscribe(self._channel)
                await self._listen(pubsub)
        finally:
            await pubsub.aclose()
            await client.aclose(close_connection_pool=True)

    def _tell_once(self, error: Exception) -> None:
        if str(error) != self._problem:
            self._problem = str(error)
            _log.warning("workers cannot tell which jobs they begin, each is looked at: %s", error)

    async def _listen(self, pubsub: Any) -> None:
        """Hear what comes until the connection is lost."""
        tested = False
        while True:
            message = await pubsub.get_message(timeout=_QUIET)
            if message is None:
                if tested:
                    return
                await pubsub.ping()
            elif message["type"] == "message":
                self.hear(message["data"])
            tested = message is None

    def hear(self, text: str) -> None:
        """Hear a message: a queue, and jobs of it that have begun."""
        queue, job_ids = read_started(text)
        for job_id in job_ids:
            for expected in self._waiting.get((queue, job_id), ()):
                expected.hear()

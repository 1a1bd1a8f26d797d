"""Hear from workers which jobs they have begun: one subscriber for each event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from bullq.errors import StoreUnavailable
from bullq.store.arbiter import read_started, started_channel

if TYPE_CHECKING:
    from bullq.store.connection import Store

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0  # seconds between attempts to connect
_QUIET = 10.0  # seconds without a word until the connection is tested, and again until it is lost


class Pickups:
    """Who waits for which job, and the one who hears of them.

    What is published while nobody listens is not heard: who waits looks at the job, too.
    """

    def __init__(self, store: Store, prefix: str, dispatcher: str) -> None:
        self._store = store
        self._channel = started_channel(prefix, dispatcher)
        self._waiting: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._reader: asyncio.Task[None] | None = None

    def expect(self, queue: str, job_id: str) -> asyncio.Future[None]:
        """Give a future that is done once a worker has begun the job."""
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read(), name="bullq pickups")
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[queue, job_id] = begun
        return begun

    def forget(self, queue: str, job_id: str) -> None:
        """Wait for a job no longer."""
        self._waiting.pop((queue, job_id), None)

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
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                client = await self._store.open_blocking(self._channel)
                pubsub = client.pubsub()
                try:
                    with self._store.errors():
                        await pubsub.subscribe(self._channel)
                        pause = _FIRST_PAUSE
                        await self._listen(pubsub)
                finally:
                    await pubsub.aclose()
                    await client.aclose(close_connection_pool=True)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

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
                self._hear(message["data"])
            tested = message is None

    def _hear(self, text: str) -> None:
        queue, job_ids = read_started(text)
        for job_id in job_ids:
            begun = self._waiting.get((queue, job_id))
            if begun is not None and not begun.done():
                begun.set_result(None)

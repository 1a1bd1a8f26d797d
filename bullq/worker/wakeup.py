"""Wait for the queue's marker while the queue is empty, on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from bullq.errors import StoreUnavailable
from bullq.protocol.keys import due_ms_of
from bullq.worker.health import Part

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue
    from bullq.worker.exchange import Exchange
    from bullq.worker.health import Health

LONGEST_BLOCK = 5.0
"""Seconds to wait for a marker before the queue is asked anyway."""

_ANSWER_MARGIN = 2.0  # seconds beyond the block within which Redis has to answer
_STEP = 10.0  # seconds within which the listener gets from one wait to the next
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.5  # seconds between attempts to reconnect
_CLOSE_DEADLINE = 1.0  # seconds to close a connection that is of no use any more


class Wakeup:
    """Sleeps until there may be a job, then has the exchange look.

    BullMQ keeps a marker beside each queue: score 0 says that a job is available, any other
    score when the next delayed job is due. The reply has a deadline above the time it blocks,
    and any trouble rebuilds the connection, so that an idle worker cannot go deaf.
    """

    def __init__(
        self,
        queue: JobQueue,
        exchange: Exchange,
        health: Health,
        worker_name: str,
        longest_block: float = LONGEST_BLOCK,
    ) -> None:
        self._queue = queue
        self._exchange = exchange
        self._health = health
        self._longest_block = longest_block
        self._client_name = queue.keys.worker_client_name(worker_name)
        self._due = float("inf")

    @property
    def is_overdue(self) -> bool:
        """Whether it waits for longer than each of its waits may last, so that it is stuck."""
        return asyncio.get_running_loop().time() > self._due

    async def run(self) -> None:
        """Wait and wake for ever, over as many connections as it takes."""
        pause = _FIRST_PAUSE
        while True:
            self._has(_STEP)
            try:
                client = await self._queue.store.open_blocking(self._client_name)
            except (StoreUnavailable, TimeoutError) as error:
                self._health.failed(error, Part.LISTENING)
                # Where only listening fails, the queue is asked all the same.
                self._exchange.look()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            self._health.answered(Part.LISTENING)
            # A marker may have gone down with the connection before this one.
            self._exchange.look()
            try:
                while True:
                    self._has(float("inf"))
                    await self._exchange.idle.wait()
                    await self._sleep(client)
            except (StoreUnavailable, TimeoutError) as error:
                self._health.failed(error, Part.LISTENING)
                await asyncio.sleep(pause)
            finally:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_CLOSE_DEADLINE):
                        await client.aclose(close_connection_pool=True)

    def _has(self, seconds: float) -> None:
        """Note how long the next step may take."""
        self._due = asyncio.get_running_loop().time() + seconds

    async def restore_marker(self) -> None:
        """Set the marker that this worker may have taken: for waiting jobs, or the next delayed."""
        keys, client = self._queue.keys, self._queue.store.client()
        with self._queue.store.errors():
            if await client.llen(keys.key("wait")) or await client.zcard(keys.key("prioritized")):
                await client.zadd(keys.key("marker"), {"0": 0})
            elif delayed := await client.zrange(keys.key("delayed"), 0, 0, withscores=True):
                [(_, score)] = delayed
                await client.zadd(keys.key("marker"), {"1": due_ms_of(score)})

    async def _sleep(self, client: Any) -> None:
        """Sleep until the exchange should look."""
        self._has(_STEP)
        while (due_ms := await self._marker(client)) is not None and due_ms > 0:
            self._exchange.expect(due_ms)
            self._has(_STEP)
        if due_ms is not None and not self._exchange.has_free_slot():
            # Another worker can follow the marker that this one has taken. Told by the shared
            # client: this connection's own waits have no deadline but that of a blocking read.
            with self._queue.store.errors():
                await self._queue.store.client().zadd(self._queue.keys.key("marker"), {"0": 0})
        # Cleared here, so that the next sleep begins when the exchange has found nothing again.
        self._exchange.idle.clear()
        self._exchange.look()

    async def _marker(self, client: Any) -> int | None:
        """Take the marker: 0 for a job, otherwise when one is due; None when time is up."""
        async with asyncio.timeout(self._longest_block + _ANSWER_MARGIN):
            with self._queue.store.errors():
                popped = await client.bzpopmin(self._queue.keys.key("marker"), self._longest_block)
        self._health.answered(Part.LISTENING)
        return None if popped is None else int(float(popped[2]))

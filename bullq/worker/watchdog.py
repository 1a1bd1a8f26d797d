"""See that the fetch goes on: rebuild what is stuck, and end the worker where that is in vain."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bullq.clock import format_ms
from bullq.errors import StoreUnavailable

if TYPE_CHECKING:
    from bullq.store.connection import Store
    from bullq.worker.exchange import Exchange
    from bullq.worker.health import Health
    from bullq.worker.wakeup import Wakeup

_TICK, _SHORTEST_TICK = 5.0, 0.05  # seconds between two looks at the clock
_STUCK = 15.0
"""Seconds without an answer after which connections are made anew.

Above the deadlines that the parts have themselves: 7 s for the marker, 5 s for the fetch.
"""
_SHORTEST_OUTAGE = 1.0  # seconds: a call may be under way for as long on a busy machine
_SHORTEST_PULSE = 1.0  # seconds that a sign of life may take
_LEAST_REBUILDS = 3  # before a short bound on the outage ends the worker
_ABANDON = (0.25, 0.25, 0.5)  # seconds that a cancelled listener is given, each time it is


class Watchdog:
    """Runs the listener of a worker, and watches the worker's progress clock.

    Where there is nothing to fetch, Redis is asked for a sign of life on the connection that would
    fetch: while all slots are taken, the queue is limited, or the listener waits for its marker as
    it should. In all other cases the fetch itself has to be answered.
    """

    def __init__(
        self,
        store: Store,
        exchange: Exchange,
        wakeup: Wakeup,
        health: Health,
        max_outage_ms: int,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._wakeup = wakeup
        self._health = health
        self._max_outage = max(max_outage_ms / 1000, _SHORTEST_OUTAGE)
        self._stuck = min(_STUCK, self._max_outage / (_LEAST_REBUILDS + 1))
        self._tick = max(min(_TICK, self._stuck / 3), _SHORTEST_TICK)
        self._patience = max(self._tick, _SHORTEST_PULSE)
        self._looked = self._seen = 0.0
        self._silent = 0.0
        self._rebuilds = 0

    async def run(self) -> None:
        """Watch for ever.

        Raises StoreUnavailable once the fetch has been without an answer for too long: whatever
        is wrong, a new process, perhaps on another machine, has more ways to find Redis.
        """
        self._health.begin()
        self._looked = self._seen = time.monotonic()
        listener = self._listen()
        try:
            while True:
                await asyncio.wait({listener}, timeout=self._tick)
                if listener.done():
                    listener.result()
                await self._look_at_clock()
                if self._is_stuck():
                    await _abandon(listener)
                    self._rebuild()
                    listener = self._listen()
        finally:
            await _abandon(listener)
            self._health.end()

    def _listen(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._wakeup.run(), name="bullq wake-up")

    async def _look_at_clock(self) -> None:
        """Count the silence. A while in which this process did not run counts as a moment."""
        now = time.monotonic()
        self._silent += min(now - self._looked, self._tick + self._patience)
        self._looked = now
        if self._seen == self._health.last_answer and self._has_nothing_to_fetch():
            await self._pulse()
        if self._seen != self._health.last_answer:
            self._seen = self._health.last_answer
            self._silent, self._rebuilds = 0.0, 0

    def _has_nothing_to_fetch(self) -> bool:
        exchange = self._exchange
        if not exchange.is_quiet:
            return False
        if exchange.is_limited or not exchange.has_free_slot():
            return True
        return exchange.idle.is_set() and not self._wakeup.is_overdue

    async def _pulse(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                with self._store.errors():
                    await self._store.pipelined().execute("PING")
        except (StoreUnavailable, TimeoutError) as error:
            self._health.failed(error)
        else:
            self._health.answered()

    def _is_stuck(self) -> bool:
        """Tell whether it is time to rebuild; raise StoreUnavailable where that is in vain."""
        if self._silent >= self._max_outage:
            raise StoreUnavailable(
                f"Redis at {self._store.address} has not answered for "
                f"{format_ms(self._silent * 1000)} when asked for jobs, on {self._rebuilds} new "
                "connections, so the worker ends and has to be started anew."
            )
        return self._silent >= self._stuck * (self._rebuilds + 1)

    def _rebuild(self) -> None:
        self._rebuilds += 1
        self._health.failed(
            StoreUnavailable(
                f"Redis at {self._store.address} has not answered for "
                f"{format_ms(self._silent * 1000)} when asked for jobs. "
                "The worker makes new connections."
            )
        )
        if not self._exchange.is_quiet:
            # The call under way hears of it and is sent again. Without one the connection is left
            # to the others that share it: then it is the listener that was stuck.
            self._store.pipelined().drop()


async def _abandon(listener: asyncio.Task[None]) -> None:
    """End a listener; one that cannot be ended is left alone."""
    for seconds in _ABANDON:
        listener.cancel()
        ended, _ = await asyncio.wait({listener}, timeout=seconds)
        if ended:
            if not listener.cancelled():
                listener.exception()  # told already, or of no use any more
            return

"""Route jobs that no worker has begun in time, and send what whoever routed them did not.

A dispatcher that dies between adding a job and seeing it begin leaves the job in the queue's
index of pickups; one that dies between routing it and sending its event leaves it among the
rerouted. Both are found here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from bullq.errors import StoreUnavailable
from bullq.store.arbiter import Arbiter, Parcel, Swept, live_workers

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue
    from bullq.telemetry.hooks import Observer

EVERY = 1.0
"""Seconds between two sweeps that find nothing."""
_LEASES = 5  # of those pauses, until another sweeper takes over from one that is no more
_MOST_AT_ONCE = 100  # jobs that one call looks at: Redis is held for a few ms
_SENDING = 10  # events under way
_LONGEST_PAUSE = 30.0  # seconds between attempts while no event is accepted
_SILENT_MS = 30_000  # without a claim, while jobs wait, workers that are connected hang


class Delivery(StrEnum):
    """What became of the event of a routed job."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """It may have been accepted; to send it again under its id is harmless."""


Deliver = Callable[[str, Parcel, int], Awaitable[Delivery]]
"""Sends the event of a queue's routed job, at a time by the server's clock (ms since the epoch).

Has a deadline of its own.
"""


@contextlib.asynccontextmanager
async def sweeping(
    queues: Iterable[JobQueue], deliver: Deliver, observer: Observer
) -> AsyncIterator[None]:
    """Sweep queues until the end of the block, in a process that has no workers of theirs."""
    tasks = [
        asyncio.create_task(
            Sweeper(queue, deliver, observer).run(), name=f"bullq sweeper {queue.spec.name}"
        )
        for queue in queues
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Sweeper:
    """Sweeps one queue for as long as it runs. One of all sweepers of the queue does: by a lease.

    *deliver* sends an event. *is_alive* tells whether workers of the queue live and get on, which
    excuses jobs that wait; None: by connections, locks and claims. *every* is in seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        deliver: Deliver,
        observer: Observer,
        *,
        is_alive: Callable[[], Awaitable[bool]] | None = None,
        every: float = EVERY,
    ) -> None:
        self._queue = queue
        self._deliver = deliver
        self._observer = observer
        self._is_alive = is_alive or self._gets_on
        self._every = every
        self._holder = secrets.token_hex(8)
        self._arbiter = Arbiter(queue.scripts(), queue.keys)
        self._refused = 0  # sweeps in a row of whose events none was accepted

    async def run(self) -> None:
        """Sweep for ever; while Redis does not serve, the next sweep comes in its time."""
        while True:
            more = False
            try:
                more = await self.sweep()
            except StoreUnavailable:
                pass
            except Exception as error:  # noqa: BLE001 - jobs are run all the same
                self._observer.trouble(
                    self._queue.spec.name, "jobs that wait too long cannot be swept up", error
                )
            if not more:
                await asyncio.sleep(self._pause())

    async def sweep(self) -> bool:
        """Sweep once, and tell whether there is more to do at once.

        Raises StoreUnavailable.
        """
        swept = await self._find()
        if swept is None:
            return False
        if swept.fresh:
            self._observer.jobs_rerouted(self._queue.spec.name, sorted(swept.fresh))
        if not swept.parcels:
            return False
        accepted = await self._send(swept)
        if accepted:
            with self._queue.store.errors():
                await self._arbiter.sent(accepted)
        self._refused = 0 if accepted else self._refused + 1
        return bool(accepted) and swept.left > 0

    async def _find(self) -> Swept | None:
        """Sweep, where nobody else does: whether workers live is asked only if it matters."""
        holder, overdue = await self._look()
        if holder not in {None, self._holder}:
            return None
        alive = not overdue or await self._is_alive()
        with self._queue.store.errors():
            return await self._arbiter.sweep(
                self._holder,
                lease_ms=int(self._every * _LEASES * 1000),
                alive=alive,
                # An event that waits fills a sweep of one: while none is accepted, no more jobs
                # leave the queue, where workers that come back would run them.
                limit=1 if self._refused else _MOST_AT_ONCE,
            )

    async def _look(self) -> tuple[str | None, bool]:
        """Give who has the lease, and whether a job is overdue."""
        keys = self._queue.keys
        with self._queue.store.errors():
            pipeline = self._queue.store.client().pipeline(transaction=False)
            pipeline.get(keys.key("bullq:sweeper"))
            pipeline.time()
            pipeline.zrangebyscore(
                keys.key("bullq:pickups"), 0, "+inf", start=0, num=1, withscores=True
            )
            holder, (seconds, micros), first = await pipeline.execute()
        return holder, bool(first) and first[0][1] <= seconds * 1000 + micros // 1000

    async def _send(self, swept: Swept) -> list[str]:
        """Send events, some at once; give the ids of those that were accepted."""
        room, queue = asyncio.Semaphore(_SENDING), self._queue.spec.name

        async def send(parcel: Parcel) -> bool:
            async with room:
                try:
                    delivery = await self._deliver(queue, parcel, swept.server_ms)
                except Exception as error:  # noqa: BLE001 - what one event meets stops no other
                    told = f"the event of job {parcel.id}, which no worker began, cannot be sent"
                    self._observer.trouble(queue, told, error)
                    return False
                return delivery is Delivery.ACCEPTED

        told = await asyncio.gather(*(send(parcel) for parcel in swept.parcels))
        return [one.id for one, accepted in zip(swept.parcels, told, strict=True) if accepted]

    async def _gets_on(self) -> bool:
        if not await live_workers(self._queue.store, self._queue.keys):
            return False
        with self._queue.store.errors():
            looked = await self._arbiter.look([])
        queue = looked.queue
        silent_ms = looked.server_ms - queue.claimed_at_ms
        return queue.is_held or queue.limited_for_ms > 0 or silent_ms < _SILENT_MS

    def _pause(self) -> float:
        """Give seconds: longer the longer no event is accepted, and never in step with others."""
        pause = min(self._every * 2.0**self._refused, max(_LONGEST_PAUSE, self._every))
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - chance, not secrecy

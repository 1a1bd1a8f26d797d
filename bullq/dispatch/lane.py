"""What all dispatches to one queue share on one event loop: its arbiter, asked for many at once."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from bullq.dispatch.judgement import Sight
from bullq.dispatch.together import Together
from bullq.errors import StoreUnavailable
from bullq.store.arbiter import (
    Added,
    Adding,
    Arbiter,
    Confirmation,
    Looked,
    Pickup,
    Settled,
    Unsettled,
    live_workers,
)

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue
    from bullq.store.adding import NewJob

_MOST_ADDED = 150  # in one call: Redis is held for 2 to 3 ms
_MOST_SETTLED = 100
_MOST_LOOKED_AT = 200
_MOST_SEEN = 500
_COUNT_LASTS = 1.0  # seconds for which a count of live workers is believed
_NONE_LASTS = 0.05  # the same of a count of none, on which jobs leave BullMQ


class ToAdd(NamedTuple):
    """A job, and by when it has to begin.

    *since* is the queue's epoch as it was known when the job was sent for the first time, None
    where this is the first time.
    """

    job: NewJob
    timeout_ms: int
    pickup: Pickup
    since: str | None = None


class Admitted(NamedTuple):
    """How an add ended, and the queue's epoch at that time.

    *added* is None where data was lost since the job was sent for the first time: it may have run.
    """

    added: Added | None
    epoch: str


class Lane:
    """One queue as dispatches use it; *seconds* bound each question.

    All methods raise StoreUnavailable.
    """

    def __init__(self, queue: JobQueue, dispatcher: str, seconds: float) -> None:
        self.queue = queue
        self.dispatcher = dispatcher
        self._store = queue.store
        self._seconds = seconds
        self._arbiter = Arbiter(queue.store.prompt(seconds), queue.keys)
        name = f"bullq dispatch {queue.spec.name}"
        self._adds = Together(self._add, most=_MOST_ADDED, name=name)
        self._looks = Together(self._look, most=_MOST_LOOKED_AT, name=name)
        self._settlements = Together(self._settle, most=_MOST_SETTLED, name=name)
        self.epoch = ""
        """The queue's epoch as it was heard last; empty before that."""
        self._seen: deque[str] = deque(maxlen=10_000)
        self._live: tuple[float, int | None] = (0.0, None)
        self._counting: asyncio.Task[int | None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._introduced = False

    async def add(self, job: ToAdd) -> Admitted:
        """Add a job with confirmation."""
        return await self._adds.ask(job)

    async def settle(self, job: Unsettled, epoch: str) -> Settled:
        """Have the arbiter decide who runs a job; *epoch* is empty where it is not known."""
        return await self._settlements.ask((job, epoch))

    async def look(self, job_id: str) -> Sight:
        """See how a job and its queue do, live workers included."""
        looked, place = await self._looks.ask(job_id)
        live = await self._count_workers()
        return Sight(looked.standings[place], looked.queue, looked.server_ms, live)

    def decided(self, job_id: str) -> None:
        """Note that a job has begun, and that nothing of it is under way anywhere else."""
        self._seen.append(job_id)

    def sent(self, job_id: str) -> None:
        """Tell the queue, soon, that the event of a routed job was accepted.

        Where that fails, a sweeper sends the event once more, which changes nothing.
        """
        task = asyncio.create_task(self._tell_sent(job_id), name="bullq dispatch sent")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tell_sent(self, job_id: str) -> None:
        with contextlib.suppress(StoreUnavailable), self._store.errors():
            await self._arbiter.sent([job_id])

    async def _add(self, jobs: Sequence[ToAdd]) -> list[Admitted]:
        admitted: list[Admitted] = []
        for (timeout_ms, pickup, since), group in groupby(jobs, key=lambda one: one[1:]):
            new = [one.job for one in group]
            confirmation = Confirmation(self.dispatcher, timeout_ms, pickup)
            admitted += await self._add_alike(new, confirmation, since)
        if not self._introduced:
            self._introduced = True
            self._introduce()
        return admitted

    async def _add_alike(
        self, jobs: list[NewJob], confirmation: Confirmation, since: str | None
    ) -> list[Admitted]:
        epoch = self.epoch if since is None else since
        seen = [self._seen.popleft() for _ in range(min(len(self._seen), _MOST_SEEN))]
        with self._store.errors():
            done = await self._arbiter.add_confirmed(
                jobs, confirmation, epoch=epoch or None, seen=seen
            )
            if done.added is None and since is None:
                # Data was lost since. These jobs were not in it: nothing of them was ever sent.
                done = await self._arbiter.add_confirmed(jobs, confirmation, epoch=done.epoch)
        self.epoch = done.epoch
        if done.added is None and since is not None:
            return [Admitted(None, done.epoch)] * len(jobs)
        if done.added is None:
            raise StoreUnavailable(
                f"Redis at {self._store.address} loses its data again and again: nothing was added"
            )
        return [Admitted(added, done.epoch) for added in done.added]

    def _introduce(self) -> None:
        async def introduce() -> None:
            with contextlib.suppress(StoreUnavailable):
                await self.queue.introduce()

        task = asyncio.create_task(introduce(), name="bullq introduce")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _look(self, job_ids: Sequence[str]) -> list[tuple[Looked, int]]:
        with self._store.errors():
            looked = await self._arbiter.look(job_ids)
        return [(looked, place) for place in range(len(job_ids))]

    async def _settle(self, jobs: Sequence[tuple[Unsettled, str]]) -> list[Settled]:
        by_epoch: defaultdict[str, list[int]] = defaultdict(list)
        for place, (_, epoch) in enumerate(jobs):
            by_epoch[epoch].append(place)
        settled: dict[int, Settled] = {}
        for epoch, places in by_epoch.items():
            with self._store.errors():
                told = await self._arbiter.settle([jobs[one][0] for one in places], epoch=epoch)
            settled |= zip(places, told.settled, strict=True)
        return [settled[place] for place in range(len(jobs))]

    async def _count_workers(self) -> int | None:
        """Count live workers, or believe the last count; None where that cannot be done."""
        at, count = self._live
        lasts = _NONE_LASTS if count == 0 else _COUNT_LASTS
        if at and asyncio.get_running_loop().time() - at < lasts:
            return count
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._counted(), name="bullq count workers")
        return await asyncio.shield(self._counting)

    async def _counted(self) -> int | None:
        count = None
        # A server that forbids the question, or is slow to answer, tells nothing.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._seconds):
                count = await live_workers(self._store, self.queue.keys)
        self._live = asyncio.get_running_loop().time(), count
        return count


def new_dispatcher_id() -> str:
    """Make the name under which a process is told of the jobs that it waits for."""
    return secrets.token_hex(8)


__all__ = ["Adding", "Admitted", "Lane", "ToAdd", "new_dispatcher_id"]

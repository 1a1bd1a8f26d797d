"""What all dispatches to one queue share on one event loop: its arbiter, asked for many at once."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict, deque
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bullq.dispatch.judgement import Sight
from bullq.dispatch.together import Together
from bullq.errors import InvalidOptionError, StoreUnavailable
from bullq.store.arbiter import (
    Added,
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
_MOST_LEARN = 10_000
_MOST_LOOKED_AT = 200
_FEWEST_SEEN, _MOST_SEEN = 20, 500  # ids to be forgotten in one call: few would cost as much
_COUNT_LASTS = 1.0  # seconds for which a count of live workers is believed
_NONE_LASTS = 0.05  # the same of a count of none, on which jobs leave BullMQ


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
        self._arbiter = Arbiter(queue.scripts(seconds), queue.keys)
        self._name = name = f"bullq dispatch {queue.spec.name}"
        # Jobs that go in one call have one fate, but for what each one's answer says of it.
        self._adds: dict[tuple[int, Pickup], Together[NewJob, Admitted]] = {}
        self._epochs = Together(self._learn_epoch, most=_MOST_LEARN, name=name)
        self._looks = Together(self._look, most=_MOST_LOOKED_AT, name=name)
        self._settlements = Together(self._settle, most=_MOST_SETTLED, name=name)
        self.epoch = ""
        """The queue's epoch as it was heard last; empty before that."""
        self._seen: deque[str] = deque(maxlen=10_000)
        self._live: tuple[float, int | None] = (0.0, None)
        self._counting: asyncio.Task[int | None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._introduced = False

    def add(self, job: NewJob, timeout_ms: int, pickup: Pickup) -> asyncio.Future[Admitted]:
        """Add a job that is sent for the first time; it has to begin within *timeout_ms*."""
        adds = self._adds.get((timeout_ms, pickup))
        if adds is None:
            confirmation = Confirmation(self.dispatcher, timeout_ms, pickup)
            adds = self._adds[timeout_ms, pickup] = Together(
                partial(self._add, confirmation=confirmation), most=_MOST_ADDED, name=self._name
            )
        return adds.ask(job)

    async def add_again(self, job: NewJob, timeout_ms: int, pickup: Pickup, since: str) -> Admitted:
        """Add a job that was sent before; *since* is the queue's epoch as it was known then."""
        confirmation = Confirmation(self.dispatcher, timeout_ms, pickup)
        admitted = await self._add_alone(job, confirmation, since)
        if isinstance(admitted, Exception):
            raise admitted
        return admitted

    def learn_epoch(self) -> asyncio.Future[str]:
        """Learn the queue's epoch, before a job is sent.

        Of one that was sent without it, and not answered, nobody could say whether it was lost
        with other data, and may have run.
        """
        return self._epochs.ask(None)

    def settle(self, job: Unsettled, epoch: str) -> asyncio.Future[Settled]:
        """Have the arbiter decide who runs a job; *epoch* is empty where it is not known."""
        return self._settlements.ask((job, epoch))

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
        self._in_background(self._tell_sent(job_id))

    async def aclose(self) -> None:
        """Wait for what is still to be told: not longer than an answer may take. End the rest."""
        under_way = {*self._background, *filter(None, [self._counting])}
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=self._seconds)
            for task in late:
                task.cancel()  # else it would open a connection that nobody closes
            await asyncio.gather(*late, return_exceptions=True)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=self._name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tell_sent(self, job_id: str) -> None:
        with contextlib.suppress(StoreUnavailable), self._store.errors():
            await self._arbiter.sent([job_id])

    async def _introduce(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self.queue.introduce()

    async def _learn_epoch(self, asked: Sequence[None]) -> list[str]:
        nothing = Confirmation(self.dispatcher, 0)
        with self._store.errors():
            self.epoch = (await self._arbiter.add_confirmed([], nothing)).epoch
        return [self.epoch] * len(asked)

    async def _add(
        self, jobs: Sequence[NewJob], confirmation: Confirmation, since: str | None = None
    ) -> list[Admitted | Exception]:
        try:
            admitted = await self._add_alike(jobs, confirmation, since)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whose job it is shows when each goes alone
            if len(jobs) == 1:
                return [InvalidOptionError(f"{jobs[0].id}: cannot be added: {error}")]
            # Nobody fails for what another one adds; adding an id again is harmless.
            each = (self._add_alone(job, confirmation, since) for job in jobs)
            return list(await asyncio.gather(*each))
        if not self._introduced:
            self._introduced = True
            self._in_background(self._introduce())
        return admitted

    async def _add_alone(
        self, job: NewJob, confirmation: Confirmation, since: str | None
    ) -> Admitted | Exception:
        try:
            return (await self._add([job], confirmation, since))[0]
        except StoreUnavailable as error:
            return error

    async def _add_alike(
        self, jobs: Sequence[NewJob], confirmation: Confirmation, since: str | None
    ) -> list[Admitted | Exception]:
        epoch = self.epoch if since is None else since
        count = min(len(self._seen), _MOST_SEEN)
        seen = [self._seen.popleft() for _ in range(count)] if count >= _FEWEST_SEEN else []
        try:
            with self._store.errors():
                done = await self._arbiter.add_confirmed(
                    jobs, confirmation, epoch=epoch or None, seen=seen
                )
                if done.added is None and since is None:
                    # Data was lost since. These were not in it: nothing of them was ever sent.
                    done = await self._arbiter.add_confirmed(jobs, confirmation, epoch=done.epoch)
        except BaseException:
            self._seen.extendleft(reversed(seen))
            raise
        self.epoch = done.epoch
        if done.added is None and since is not None:
            return [Admitted(None, done.epoch)] * len(jobs)
        if done.added is None:
            raise StoreUnavailable(
                f"Redis at {self._store.address} loses its data again and again: nothing was added"
            )
        return [Admitted(added, done.epoch) for added in done.added]

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

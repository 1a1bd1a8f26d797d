"""Keep what the dispatches of one process share: lanes by event loop, breakers for all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bullq.dispatch.errand import Errand
from bullq.dispatch.handoff import Handoff
from bullq.dispatch.lane import Lane, new_dispatcher_id
from bullq.dispatch.pickup import Pickups
from bullq.dispatch.relay import Relay
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.dispatch.errand import Arrival
    from bullq.dispatch.means import Means
    from bullq.dispatch.terms import Terms
    from bullq.jobs.definition import JobDefinition
    from bullq.queues.queue import JobQueue
    from bullq.store.adding import NewJob
    from bullq.store.connection import Store


@dataclass
class _Here:
    """What one event loop has."""

    dispatcher: str
    pickups: Pickups
    handoff: Handoff
    relaying: asyncio.Task[None] | None = None
    """What delivers from the outbox until it is empty."""
    kept: bool = False
    """Whether a job was kept since it began."""
    lanes: dict[str, Lane] = field(default_factory=dict)


class Handoffs:
    """Hands jobs over, on any event loop; *seconds* bound each question to Redis."""

    def __init__(
        self,
        means: Means,
        *,
        store: Callable[[], Store],
        prefix: str,
        seconds: float,
        live_queue: Callable[[str], JobQueue],
    ) -> None:
        self.means = means
        self._store = store
        self._prefix = prefix
        self._seconds = seconds
        self._live_queue = live_queue
        self._dispatcher = os.getpid(), new_dispatcher_id()
        self._here = PerLoop(self._new_here)

    async def hand_over(
        self,
        job: JobDefinition[Any, Any],
        queue: JobQueue,
        new: NewJob,
        terms: Terms,
        order_key: str | None = None,
    ) -> Arrival:
        """Dispatch one job, as Handoff.hand_over() does."""
        here = self._here.here()
        lane = here.lanes.get(job.queue)
        if lane is None:
            lane = here.lanes[job.queue] = Lane(queue, here.dispatcher, self._seconds)
            self._relay_here()  # what another process, or an earlier one, has left
        with queue.sending(new) as sent:
            return await here.handoff.hand_over(Errand(job, sent, lane, terms, order_key))

    async def aclose(self) -> None:
        """End what is under way on the running event loop."""
        here = self._here.pop()
        if here is not None:
            await here.handoff.aclose()
            await here.pickups.aclose()
            await asyncio.gather(*(lane.aclose() for lane in here.lanes.values()))
            if here.relaying is not None:
                here.relaying.cancel()
                await asyncio.wait([here.relaying])
        if self.means.outbox is not None:
            await self.means.outbox.aclose()
        if self.means.fallback is not None:
            await self.means.fallback.aclose()

    def _new_here(self) -> _Here:
        if self._dispatcher[0] != os.getpid():  # a child that was forked waits for jobs of its own
            self._dispatcher = os.getpid(), new_dispatcher_id()
        dispatcher = self._dispatcher[1]
        pickups = Pickups(self._store(), self._prefix, dispatcher)
        handoff = Handoff(self.means, pickups, self._relay_here)
        return _Here(dispatcher, pickups, handoff)

    def relay(self) -> Relay | None:
        """Make what delivers from the outbox, on the running event loop; None without one."""
        means = self.means
        if means.outbox is None:
            return None
        return Relay(means.outbox, self._live_queue, means.fallback, means.observer)

    def _relay_here(self) -> None:
        """Deliver what was kept as soon as that goes, while this process lives."""
        here, relay = self._here.here(), self.relay()
        if relay is None:
            return
        here.kept = True
        if here.relaying is None or here.relaying.done():
            here.relaying = asyncio.create_task(self._relayed(here, relay), name="bullq relay")

    @staticmethod
    async def _relayed(here: _Here, relay: Relay) -> None:
        while here.kept:  # anew, where a job was kept while the relay found nothing left
            here.kept = False
            await relay.run(until_empty=True)

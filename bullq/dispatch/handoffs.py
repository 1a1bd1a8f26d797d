"""Keep what the dispatches of one process share: lanes by event loop, breakers for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bullq.dispatch.breaker import Breaker
from bullq.dispatch.errand import Errand
from bullq.dispatch.handoff import Handoff
from bullq.dispatch.lane import Lane, new_dispatcher_id
from bullq.dispatch.pickup import Pickups
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.dispatch.errand import Arrival
    from bullq.dispatch.fallback import InngestFallback
    from bullq.dispatch.terms import Terms, UseBullmq
    from bullq.jobs.definition import JobDefinition
    from bullq.queues.queue import JobQueue
    from bullq.store.adding import NewJob
    from bullq.store.connection import Store


@dataclass
class _Here:
    """What one event loop has."""

    pickups: Pickups
    handoff: Handoff
    lanes: dict[str, Lane] = field(default_factory=dict)


class Handoffs:
    """Hands jobs over, on any event loop; *seconds* bound each question to Redis."""

    def __init__(
        self,
        store: Callable[[], Store],
        prefix: str,
        *,
        seconds: float,
        fallback: InngestFallback | None,
        use_bullmq: UseBullmq,
    ) -> None:
        self.breaker = Breaker()
        self.fallback = fallback
        self._store = store
        self._prefix = prefix
        self._seconds = seconds
        self._use_bullmq = use_bullmq
        self._dispatcher = new_dispatcher_id()
        self._here = PerLoop(self._new_here)

    async def hand_over(
        self, job: JobDefinition[Any, Any], queue: JobQueue, new: NewJob, terms: Terms
    ) -> Arrival:
        """Dispatch one job, as Handoff.hand_over() does."""
        here = self._here.here()
        lane = here.lanes.get(job.queue)
        if lane is None:
            lane = here.lanes[job.queue] = Lane(queue, self._dispatcher, self._seconds)
        with queue.sending(new) as sent:
            return await here.handoff.hand_over(Errand(job, sent, lane, terms))

    async def aclose(self) -> None:
        """End what is under way on the running event loop."""
        here = self._here.pop()
        if here is not None:
            await here.handoff.aclose()
            await here.pickups.aclose()
        if self.fallback is not None:
            await self.fallback.aclose()

    def _new_here(self) -> _Here:
        pickups = Pickups(self._store(), self._prefix, self._dispatcher)
        handoff = Handoff(
            pickups=pickups,
            breaker=self.breaker,
            fallback=self.fallback,
            use_bullmq=self._use_bullmq,
        )
        return _Here(pickups, handoff)

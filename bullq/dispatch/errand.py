"""One job on its way to an engine: what it is, how much time is left, and what is known of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bullq.clock import to_ms
from bullq.dispatch.outbox import Kept, now_ms
from bullq.errors import DispatchInDoubt, DispatchUnavailable, StoreUnavailable
from bullq.jobs.reasons import Reason
from bullq.store.arbiter import Adding, Unsettled
from bullq.telemetry.hooks import DispatchEvent

if TYPE_CHECKING:
    from bullq.dispatch.lane import Admitted, Lane
    from bullq.dispatch.terms import Terms
    from bullq.jobs.definition import JobDefinition
    from bullq.store.adding import NewJob


_UNCONFIRMED_MS = 3_600_000  # for a job that nobody waits to see begun
_NEVER_MS = 10 * 365 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a job has arrived; *timings* are in ms."""

    engine: str
    job_id: str
    state: str
    reason: Reason | None
    timings: dict[str, float]


class Timed:
    """Adds to *timings* how long a block takes, in ms."""

    __slots__ = ("_began", "_step", "_timings")

    def __init__(self, timings: dict[str, float], step: str) -> None:
        self._timings = timings
        self._step = step

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        took = (time.perf_counter() - self._began) * 1000
        self._timings[self._step] = self._timings.get(self._step, 0.0) + took


@dataclass(slots=True)
class Errand:
    """A job that is being dispatched. *began* is by the event loop's clock, in seconds.

    Lengths of time are told by a finer one: uvloop's counts whole milliseconds.
    *reason* is why it is not simply on BullMQ; *cause* is Redis' own word for it.
    """

    job: JobDefinition[Any, Any]
    new: NewJob
    lane: Lane
    terms: Terms
    order_key: str | None = None
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    clock: float = field(default_factory=time.perf_counter)
    made_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    reason: Reason | None = None
    cause: Exception | None = None
    known: bool = False
    """An add was answered: the job was on the queue."""
    maybe: bool = False
    """An add was sent, and nobody knows what came of it."""
    admitted: Admitted | None = None
    """What the queue answered to the last add."""
    sent_maybe: bool = False
    """An event was sent, and nobody knows what came of it."""
    routed: bool = False
    """The arbiter has given it to the other engine, and remembers it until its event is sent."""
    insists: bool = False
    """Nobody else takes it: Redis is asked, whatever the breaker says."""
    rerun: bool = False
    """It was lost with other data, and is sent anew."""
    epoch: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    on_queue: Callable[[], None] = lambda: None
    """Hears that the job is on its queue: what comes after it in order may go."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self.new.id

    @property
    def place(self) -> str:
        """Name the job, for messages."""
        return f"{self.job.queue}/{self.job.name}"

    @property
    def function(self) -> str:
        """The job's function at Inngest."""
        return f"{self.job.queue}.{self.job.name}"

    @property
    def ends_at(self) -> float:
        """When the dispatch has to be over."""
        return self.began + self.terms.deadline

    @property
    def left(self) -> float:
        """How many seconds are left of the deadline."""
        return max(0.0, self.ends_at - asyncio.get_running_loop().time())

    @property
    def took_ms(self) -> float:
        """How many ms it has taken until now."""
        return (time.perf_counter() - self.clock) * 1000

    @property
    def question(self) -> float:
        """How many seconds one question to Redis may take."""
        return min(self.terms.redis, self.left)

    @property
    def delay_ms(self) -> int:
        """How long it is until the job is due."""
        delay = int(self.new.options.get("delay") or 0)
        passed = asyncio.get_running_loop().time() - self.began
        return max(0, delay - to_ms(passed)) if delay else 0

    @property
    def was_routed(self) -> bool:
        """Whether the queue answered that the job had gone to the other engine before."""
        added = None if self.admitted is None else self.admitted.added
        return added is not None and added.outcome is Adding.ROUTED

    @property
    def unsettled(self) -> Unsettled:
        """Describe the job to the arbiter."""
        return Unsettled.of(self.new, self.made_ms, known=self.known)

    def kept(self) -> Kept:
        """Give what the outbox keeps of the job."""
        now, terms = now_ms(), self.terms
        data = self.new.data
        return Kept(
            queue=self.job.queue,
            id=self.id,
            name=self.new.name,
            data=data if isinstance(data, str) else data.decode(),
            options=json.dumps(self.new.options),
            made_ms=self.made_ms,
            due_ms=now + self.delay_ms,
            kept_ms=now,
            dispatcher=self.lane.dispatcher,
            epoch=self.epoch,
            pickup=terms.pickup.value,
            on_data_loss=terms.on_data_loss,
            timeout_ms=self.timeout_ms,
            may_leave=terms.fallback,
            maybe=self.maybe,
            known=self.known,
            sent=self.sent_maybe or self.routed,
            order_key=self.order_key or "",
        )

    @property
    def timeout_ms(self) -> int:
        """How long after it is due a sweeper gives the job away: never, where it may not."""
        if not self.terms.fallback:
            return _NEVER_MS
        return round(self.terms.wait * 1000) if self.terms.confirm else _UNCONFIRMED_MS

    def decided(self) -> None:
        """Have the queue forget the job in time: it has begun, and no request of it is under way.

        One whose answer was lost may be: it must find the job remembered, should it come late.
        """
        if not self.maybe:
            self.lane.decided(self.id)

    def timed(self, step: str) -> Timed:
        """Note how long a step takes; the same step twice counts together."""
        return Timed(self.timings, step)

    def event(self, arrival: Arrival | None, error: BaseException | None) -> DispatchEvent:
        """Tell observers how the dispatch has ended."""
        state = arrival.state if arrival is not None else _state_of(error)
        return DispatchEvent(
            queue=self.job.queue,
            name=self.job.name,
            id=self.id,
            engine="" if arrival is None else arrival.engine,
            state=state,
            reason=(self.reason if arrival is None else arrival.reason) or "",
            took_ms=self.took_ms,
            pickup_ms=self.timings.get("pickup") if state == "started" else None,
        )

    def arrived(
        self, engine: str, state: str, reason: Reason | None, job_id: str | None = None
    ) -> Arrival:
        """Give where the job has arrived."""
        self.timings["total"] = self.took_ms
        return Arrival(engine, job_id or self.id, state, reason, self.timings)


def _state_of(error: BaseException | None) -> str:
    if isinstance(error, DispatchInDoubt):
        return "in-doubt"
    if isinstance(error, DispatchUnavailable | StoreUnavailable):
        return "unavailable"
    return "refused"

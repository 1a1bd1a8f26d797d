"""Hand a job to exactly one engine: BullMQ if it begins it, else Inngest, else whoever keeps it.

The order of the questions is the protocol. Nothing is taken for an answer but evidence: a worker
that has begun the job, the arbiter's word, the other server's acknowledgement.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bullq.dispatch.judgement import Course, Judgement, judge
from bullq.dispatch.lane import ToAdd
from bullq.dispatch.order import InOrder
from bullq.dispatch.terms import UseBullmq, is_switched_off
from bullq.engines.inngest.events import Outcome
from bullq.engines.inngest.parcels import message_for
from bullq.errors import (
    DispatchInDoubt,
    DispatchUnavailable,
    InvalidOptionError,
    SettingsError,
    StoreUnavailable,
)
from bullq.jobs.reasons import Reason
from bullq.protocol.codes import explain
from bullq.store.arbiter import Adding, Pickup, Settled, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bullq.dispatch.breaker import Breaker
    from bullq.dispatch.errand import Arrival, Errand
    from bullq.dispatch.fallback import InngestFallback
    from bullq.dispatch.outbox import Outbox
    from bullq.dispatch.pickup import Pickups
    from bullq.telemetry.hooks import Observer

T = TypeVar("T")

_LOOKS = (0.015, 0.035, 0.08, 0.17)  # seconds until a job is looked at, one after the other
_LATER_LOOKS = 0.25
_CROWD = 100  # jobs before this one: it is not waited for until they have begun
_STARTED = Judgement(Course.STAYS, "started")
_ATTEMPTS = 2  # to send an event whose first answer was lost


class Handoff:
    """The steps of one dispatch, each of them bounded, over one errand."""

    def __init__(
        self,
        *,
        pickups: Pickups,
        breaker: Breaker,
        fallback: InngestFallback | None,
        use_bullmq: UseBullmq,
        outbox: Outbox | None = None,
        when_kept: Callable[[], None] = lambda: None,
        observer: Observer,
    ) -> None:
        self._pickups = pickups
        self._breaker = breaker
        self._fallback = fallback
        self._use_bullmq = use_bullmq
        self._outbox = outbox
        self._when_kept = when_kept
        self._observer = observer
        self._decisions: set[asyncio.Task[Arrival]] = set()
        self._order = InOrder(outbox)

    async def hand_over(self, errand: Errand) -> Arrival:
        """Dispatch a job within its deadline. What was begun is ended, also if the caller goes.

        Raises StoreUnavailable, DispatchUnavailable (the job will not run), DispatchInDoubt (it
        may), InvalidOptionError.
        """
        decision = asyncio.create_task(self._decided(errand), name=f"bullq dispatch {errand.id}")
        self._decisions.add(decision)
        decision.add_done_callback(partial(self._over, errand))
        try:
            async with asyncio.timeout_at(errand.ends_at):
                return await asyncio.shield(decision)
        except TimeoutError:
            raise self._in_doubt(errand, "the deadline has passed") from None

    async def aclose(self) -> None:
        """Wait for decisions that are under way: each is bounded by its own deadline."""
        if self._decisions:
            await asyncio.wait(self._decisions)

    def _over(self, errand: Errand, decision: asyncio.Task[Arrival]) -> None:
        """Tell how a dispatch has ended, whether its caller is still there or not."""
        self._decisions.discard(decision)
        if not decision.cancelled():
            error = decision.exception()
            arrival = None if error is not None else decision.result()
            self._observer.job_dispatched(errand.event(arrival, error))

    async def _decided(self, errand: Errand) -> Arrival:
        if errand.order_key is None:
            return await self._by_one_of_them(errand)
        async with self._order.turn(errand, errand.order_key) as is_free:
            if is_free:
                return await self._by_one_of_them(errand)
            errand.reason = Reason.IN_ORDER
            return await self._kept(errand, errand.reason.sentence)

    async def _by_one_of_them(self, errand: Errand) -> Arrival:
        if self._fallback is not None and errand.terms.fallback:
            self._fallback.warm()
        return await self._by_bullmq(errand) or await self._elsewhere(errand)

    async def _by_bullmq(self, errand: Errand) -> Arrival | None:
        """Have BullMQ run the job; None where it does not, and *errand* says why."""
        if is_switched_off(self._use_bullmq, errand.job, errand.lane.queue.spec):
            errand.reason = Reason.SWITCHED_OFF
            return None
        insists = errand.insists or not errand.terms.fallback
        if not (insists or self._breaker.lets_pass()) and await self._can_fall_back(errand):
            errand.reason = Reason.BREAKER_OPEN
            return None
        begun = self._pickups.expect(errand.job.queue, errand.id)
        try:
            arrival = await self._added(errand)
            if arrival is None and errand.known:
                arrival = await self._begun(errand, begun)
        finally:
            self._pickups.forget(errand.job.queue, errand.id)
        if arrival is None and await self._is_for_the_arbiter(errand):
            arrival = await self._settled(errand)
        return arrival

    async def _is_for_the_arbiter(self, errand: Errand) -> bool:
        """Tell whether the queue may have the job, can be asked, and there is somewhere to go."""
        if errand.known:
            return True
        return errand.maybe and not _is_silent(errand) and await self._can_fall_back(errand)

    # --- add

    async def _added(self, errand: Errand) -> Arrival | None:
        """Put the job on its queue; a lost answer is asked for once more, which is harmless."""
        with errand.timed("add"):
            answered = await self._add(errand)
            if not answered and errand.maybe and not _is_silent(errand):
                await self._add(errand)
        if errand.admitted is not None and errand.admitted.added is None:
            return await self._lost(errand)
        return self._admitted(errand)

    async def _add(self, errand: Errand) -> bool:
        """Add once; tell whether that was answered."""
        since = errand.epoch if errand.maybe else None
        if since is None:
            errand.epoch = errand.lane.epoch  # whatever comes of it, it was sent in this one
        to_add = ToAdd(errand.new, errand.timeout_ms, errand.terms.pickup, since)
        try:
            errand.admitted = await _within(errand.question, errand.lane.add(to_add))
        except StoreUnavailable as error:
            errand.cause = error
            if not error.in_doubt:
                self._breaker.refused()
                errand.reason = errand.reason if errand.maybe else Reason.REDIS_AWAY
                return False
            self._breaker.unanswered()
            errand.maybe = True
            errand.reason = Reason.REDIS_SILENT if error.silent else Reason.REDIS_CUT
            return False
        self._breaker.succeeded()
        errand.reason = errand.cause = None
        return True

    def _admitted(self, errand: Errand) -> Arrival | None:
        """See what an answered add means; None where the job is to be waited for, or is not on."""
        if errand.admitted is None or errand.admitted.added is None:
            return None
        outcome, detail = errand.admitted.added
        if outcome is Adding.REFUSED:
            why = explain(detail) if isinstance(detail, int) else f"Redis: {detail[1:]}"
            raise InvalidOptionError(f"{errand.id}: {why}")
        if outcome is Adding.TAKEN:
            return errand.arrived("bullmq", "queued", Reason.DUPLICATE, str(detail))
        errand.known = True
        errand.epoch = errand.admitted.epoch
        errand.on_queue()
        return None

    # --- evidence of pickup

    async def _begun(self, errand: Errand, begun: asyncio.Future[None]) -> Arrival | None:
        """Wait until a worker has begun the job; None where it is to be settled."""
        if not errand.terms.fallback:
            errand.decided()  # no sweeper has to know of it
        if not errand.terms.confirm:
            return errand.arrived("bullmq", "queued", None)
        with errand.timed("pickup"):
            judgement = await self._waited(errand, begun)
        if judgement.course is Course.SETTLE and not await self._can_fall_back(errand):
            if judgement.reason is Reason.DATA_LOST:
                errand.reason = judgement.reason
                return None  # only the arbiter can say
            judgement = judgement._replace(course=Course.STAYS)
        if judgement.course is Course.SETTLE:
            errand.reason = judgement.reason
            return None
        if judgement.state == "started":
            errand.decided()
        return errand.arrived("bullmq", judgement.state, judgement.reason)

    async def _waited(self, errand: Errand, begun: asyncio.Future[None]) -> Judgement:
        """Hear of the job, or look at it, until it can be judged."""
        loop, terms = asyncio.get_running_loop(), errand.terms
        until = min(loop.time() + terms.wait, errand.ends_at - terms.redis - terms.spare)
        number = 0
        while True:
            pause = _LOOKS[number] if number < len(_LOOKS) else _LATER_LOOKS
            await asyncio.wait([begun], timeout=max(0.0, min(pause, until - loop.time())))
            if begun.done():
                return _STARTED
            number += 1
            time_is_up = loop.time() >= until
            judgement = await self._looked(errand, number, time_is_up=time_is_up)
            if judgement is not None and judgement.course is not Course.WAIT:
                return _STARTED if begun.done() else judgement
            if time_is_up:
                return Judgement(Course.SETTLE, reason=Reason.REDIS_SILENT)

    async def _looked(self, errand: Errand, number: int, *, time_is_up: bool) -> Judgement | None:
        """Look at the job and judge it; None where Redis does not show it."""
        try:
            sight = await _within(errand.question, errand.lane.look(errand.id))
        except StoreUnavailable as error:
            errand.cause = error
            return None
        crowd = sight.queue.waiting + sight.queue.prioritized
        is_crowded = errand.terms.pickup is Pickup.ALIVE and crowd > _CROWD
        time_is_up = time_is_up or (is_crowded and number >= len(_LOOKS))
        return judge(sight, errand.terms.pickup, time_is_up=time_is_up)

    async def _can_fall_back(self, errand: Errand) -> bool:
        """Tell whether Inngest would run the job now."""
        fallback = self._fallback
        if (
            fallback is None
            or not errand.terms.fallback
            or not fallback.takes(len(errand.new.data))
        ):
            return False
        with errand.timed("probe"):
            return await fallback.is_ready(errand.function, errand.left / 2)

    # --- settle

    async def _settled(self, errand: Errand) -> Arrival | None:
        """Ask the arbiter; None where the job is not BullMQ's, or nobody can say."""
        try:
            with errand.timed("settle"):
                asked = errand.lane.settle(errand.unsettled, errand.epoch)
                settled = await _within(errand.question, asked)
        except StoreUnavailable as error:
            errand.cause = error
            errand.maybe = True
            return None
        return await self._judged(errand, settled)

    async def _judged(self, errand: Errand, settled: Settled) -> Arrival | None:
        """Do as the arbiter says; None where the job is for the other engine."""
        match settled.verdict:
            case Verdict.ROUTED:
                errand.routed = True
                if settled.parcel is None:
                    return errand.arrived("inngest", "sent", errand.reason)
                return None
            case Verdict.PICKED | Verdict.GONE:
                errand.decided()
                return errand.arrived("bullmq", "started", None)
            case Verdict.PARENT | Verdict.SCHEDULE:
                return errand.arrived("bullmq", "queued", None)
            case Verdict.LOST | Verdict.NOWHERE:
                return await self._lost(errand)
            case Verdict.ERROR:
                raise self._in_doubt(errand, f"Redis answered: {settled.error}")

    async def _lost(self, errand: Errand) -> Arrival | None:
        """Do what the job's terms say where nobody can know whether it ran."""
        errand.reason = Reason.DATA_LOST
        if errand.terms.on_data_loss == "drop":
            return errand.arrived("bullmq", "dropped", errand.reason)
        if errand.terms.on_data_loss == "raise" or errand.rerun:
            raise self._in_doubt(errand, Reason.DATA_LOST.sentence)
        errand.rerun, errand.known, errand.maybe, errand.admitted = True, False, False, None
        return await self._by_bullmq(errand)

    # --- elsewhere

    async def _elsewhere(self, errand: Errand) -> Arrival:
        """Have Inngest run the job, guarded where BullMQ may have it, too."""
        refused = "there is no other engine for it"
        if errand.routed or await self._can_fall_back(errand):
            with errand.timed("event"):
                refused = await self._sent(errand)
            if not refused:
                if errand.routed:
                    errand.lane.sent(errand.id)
                return errand.arrived("inngest", "sent", errand.reason)
        elif errand.terms.fallback and self._fallback is not None:
            refused = self._fallback.why_not or "Inngest takes no event of its size"
        if errand.routed and self._outbox is None:
            # It is on record in Redis: a sweeper sends the event as soon as that goes.
            return errand.arrived("outbox", "kept", errand.reason)
        return await self._kept(errand, refused)

    async def _kept(self, errand: Errand, refused: str) -> Arrival:
        """Write the job down until an engine can take it."""
        if self._outbox is None or not errand.terms.keep:
            return await self._tried_after_all(errand, refused)
        try:
            with errand.timed("outbox"):
                await self._outbox.keep(errand.kept())
        except (sqlite3.Error, OSError) as error:
            raise self._nowhere(errand, f"{refused}; its outbox fails, too: {error}") from error
        self._when_kept()
        return errand.arrived("outbox", "kept", errand.reason)

    async def _tried_after_all(self, errand: Errand, refused: str) -> Arrival:
        """Ask a Redis that was to be spared, as nobody else takes the job."""
        if errand.reason is not Reason.BREAKER_OPEN or errand.sent_maybe:
            raise self._nowhere(errand, refused)
        errand.insists = True
        return await self._by_bullmq(errand) or await self._elsewhere(errand)

    async def _sent(self, errand: Errand) -> str:
        """Send the job's event; give why it was not accepted, or nothing."""
        fallback = self._fallback
        if fallback is None:
            return "there is no other engine for it"
        guard = {"epoch": errand.epoch, "on_data_loss": errand.terms.on_data_loss}
        message = message_for(
            errand.job.queue,
            errand.unsettled,
            delay_ms=errand.delay_ms,
            guard=guard if errand.maybe and not errand.routed else None,
        )
        for _ in range(_ATTEMPTS):
            sending = await fallback.send(message, errand.left * 0.9)
            # One that was refused later takes nothing back of one that was not answered.
            errand.sent_maybe |= sending.outcome is Outcome.UNKNOWN
            if sending.outcome is not Outcome.UNKNOWN or not errand.left:
                break
        return "" if sending.outcome is Outcome.ACCEPTED else sending.reason

    def _nowhere(self, errand: Errand, refused: str) -> Exception:
        """Say that no engine has the job, or that nobody knows."""
        if errand.reason is Reason.SWITCHED_OFF and not errand.terms.fallback:
            return SettingsError(
                "USE_BULLMQ is off and no other engine is set up, so that the job "
                f"{errand.place} has nowhere to go; set USE_BULLMQ=true"
            )
        if errand.maybe or errand.sent_maybe:
            return self._in_doubt(errand, f"{errand.cause or ''} {refused}".strip())
        if not errand.terms.fallback and isinstance(errand.cause, StoreUnavailable):
            return StoreUnavailable(str(errand.cause))
        why = "" if errand.reason is None else f"{errand.reason.sentence}; "
        return DispatchUnavailable(
            f"The job {errand.id} ({errand.place}) was not queued and will not run: {why}"
            f"and Inngest: {refused}. Dispatch it again once one of them serves"
        )

    def _in_doubt(self, errand: Errand, why: str) -> DispatchInDoubt:
        return DispatchInDoubt(
            f"The job {errand.id} ({errand.place}) may be queued, and nobody can say now: {why}. "
            f"Look with 'bullq jobs show {errand.id}'. Dispatching it again under the same id is "
            "harmless.",
            errand.id,
        )


def _is_silent(errand: Errand) -> bool:
    """Tell whether Redis did not answer in time: then it would not answer the next question."""
    return errand.reason is Reason.REDIS_SILENT


async def _within(seconds: float, call: Awaitable[T]) -> T:
    """Wait at most *seconds* for Redis; raises StoreUnavailable, in doubt."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise StoreUnavailable(
            f"Redis did not answer within {seconds:g} s", in_doubt=True, silent=True
        ) from None

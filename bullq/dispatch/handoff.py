"""Hand a job to exactly one engine: BullMQ if it begins it, else Inngest, else whoever keeps it.

The order of the questions is the protocol. Nothing is taken for an answer but evidence: a worker
that has begun the job, the arbiter's word, the other server's acknowledgement.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bullq.dispatch.elsewhere import Elsewhere, in_doubt, nowhere
from bullq.dispatch.errand import Arrival
from bullq.dispatch.judgement import Course, Judgement, judge
from bullq.dispatch.order import InOrder
from bullq.dispatch.terms import is_switched_off
from bullq.errors import InvalidOptionError, StoreUnavailable
from bullq.jobs.reasons import Reason
from bullq.protocol.codes import explain
from bullq.store.arbiter import Adding, Pickup, Settled, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bullq.dispatch.errand import Errand
    from bullq.dispatch.means import Means
    from bullq.dispatch.pickup import Expected, Pickups

T = TypeVar("T")

_LOOKS = (0.015, 0.035, 0.08, 0.17)  # seconds until a job is looked at, one after the other
_LATER_LOOKS = 0.25
_CROWD = 100  # jobs before this one: it is not waited for until they have begun
_STARTED = Judgement(Course.STAYS, "started")


class Handoff:
    """The steps of one dispatch, each of them bounded, over one errand."""

    def __init__(
        self, means: Means, pickups: Pickups, when_kept: Callable[[], None] = lambda: None
    ) -> None:
        self._use_bullmq = means.use_bullmq
        self._breaker = means.breaker
        self._observer = means.observer
        self._pickups = pickups
        self._elsewhere = Elsewhere(means, when_kept)
        self._order = InOrder(means.outbox)
        self._decisions: set[asyncio.Task[Arrival]] = set()

    async def hand_over(self, errand: Errand) -> Arrival:
        """Dispatch a job within its deadline. What was begun is ended, also if the caller goes.

        Raises StoreUnavailable, DispatchUnavailable (the job will not run), DispatchInDoubt (it
        may), InvalidOptionError.
        """
        decision = asyncio.create_task(self._decided(errand), name=f"bullq dispatch {errand.id}")
        self._decisions.add(decision)
        decision.add_done_callback(partial(self._over, errand))
        await asyncio.wait([decision], timeout=errand.left)
        if decision.cancelled():  # which the caller was not
            raise in_doubt(errand, "the connection it was sent on is being closed")
        if decision.done():
            return decision.result()
        raise in_doubt(errand, "the deadline has passed")

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
            told = await self._elsewhere.keep(errand, errand.reason.sentence)
            if isinstance(told, Arrival):
                return told
            raise nowhere(errand, told)

    async def _by_one_of_them(self, errand: Errand) -> Arrival:
        self._elsewhere.warm(errand)
        arrival = await self._by_bullmq(errand)
        if arrival is not None:
            return arrival
        told = await self._elsewhere.take(errand)
        if isinstance(told, Arrival):
            return told
        if errand.reason is not Reason.BREAKER_OPEN or errand.insists or errand.sent_maybe:
            raise nowhere(errand, told)
        errand.insists = True  # as nobody else takes it, Redis is asked that was to be spared
        return await self._by_one_of_them(errand)

    async def _by_bullmq(self, errand: Errand) -> Arrival | None:
        """Have BullMQ run the job; None where it does not, and *errand* says why."""
        if is_switched_off(self._use_bullmq, errand.job, errand.lane.queue.spec):
            errand.reason = Reason.SWITCHED_OFF
            return None
        insists = errand.insists or not errand.terms.fallback
        if not (insists or self._breaker.lets_pass()) and await self._elsewhere.takes(errand):
            errand.reason = Reason.BREAKER_OPEN
            return None
        begun = self._pickups.expect(errand.job.queue, errand.id)
        try:
            arrival = await self._added(errand)
            if arrival is None and errand.known:
                arrival = await self._begun(errand, begun)
        finally:
            self._pickups.forget(errand.job.queue, errand.id, begun)
        if arrival is None and await self._is_for_the_arbiter(errand):
            arrival = await self._settled(errand)
        return arrival

    async def _is_for_the_arbiter(self, errand: Errand) -> bool:
        """Tell whether the queue may have the job, can be asked, and there is somewhere to go."""
        if _is_silent(errand):
            errand.maybe |= errand.known
            return False
        return errand.known or (errand.maybe and await self._elsewhere.takes(errand))

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
        lane, new, terms = errand.lane, errand.new, errand.terms
        try:
            if not lane.epoch:
                await _answered(errand.question, lane.learn_epoch())
            if errand.maybe:
                again = lane.add_again(new, errand.timeout_ms, terms.pickup, errand.epoch)
                errand.admitted = await _within(errand.question, again)
            else:
                errand.epoch = lane.epoch  # whatever comes of it, it was sent in this one
                added = lane.add(new, errand.timeout_ms, terms.pickup)
                errand.admitted = await _answered(errand.question, added)
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

    async def _begun(self, errand: Errand, begun: Expected) -> Arrival | None:
        """Wait until a worker has begun the job; None where it is to be settled."""
        if not errand.terms.fallback:
            errand.decided()  # no sweeper has to know of it
        if errand.was_routed:
            errand.reason = Reason.REROUTED
            return None
        if not errand.terms.confirm:
            return errand.arrived("bullmq", "queued", None)
        with errand.timed("pickup"):
            judgement = await self._waited(errand, begun)
        if judgement.course is Course.SETTLE and not await self._elsewhere.takes(errand):
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

    async def _waited(self, errand: Errand, begun: Expected) -> Judgement:
        """Hear of the job, or look at it, until it can be judged."""
        loop, terms = asyncio.get_running_loop(), errand.terms
        until = min(loop.time() + terms.wait, errand.ends_at - terms.redis - terms.spare)
        number = 0
        while True:
            pause = _LOOKS[number] if number < len(_LOOKS) else _LATER_LOOKS
            if await begun.within(min(pause, until - loop.time())):
                return _STARTED
            number += 1
            time_is_up = loop.time() >= until
            judgement = await self._looked(errand, number, time_is_up=time_is_up)
            if begun.begun:
                return _STARTED
            if judgement is not None and judgement.course is not Course.WAIT:
                return judgement
            if judgement is None and loop.time() >= until:
                # To ask once more would take the time that is left for an event.
                return Judgement(Course.SETTLE, reason=_why_unseen(errand.cause))

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

    # --- settle

    async def _settled(self, errand: Errand) -> Arrival | None:
        """Ask the arbiter; None where the job is not BullMQ's, or nobody can say."""
        try:
            with errand.timed("settle"):
                asked = errand.lane.settle(errand.unsettled, errand.epoch)
                settled = await _answered(errand.question, asked)
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
                raise in_doubt(errand, f"Redis answered: {settled.error}")

    async def _lost(self, errand: Errand) -> Arrival | None:
        """Do what the job's terms say where nobody can know whether it ran."""
        errand.reason = Reason.DATA_LOST
        if errand.terms.on_data_loss == "drop":
            return errand.arrived("bullmq", "dropped", errand.reason)
        if errand.terms.on_data_loss == "raise" or errand.rerun:
            raise in_doubt(errand, Reason.DATA_LOST.sentence)
        errand.rerun, errand.known, errand.maybe, errand.admitted = True, False, False, None
        return await self._by_bullmq(errand)


def _is_silent(errand: Errand) -> bool:
    """Tell whether Redis did not answer in time: then it would not answer the next question."""
    return errand.reason is Reason.REDIS_SILENT


def _why_unseen(cause: Exception | None) -> Reason:
    """Say why Redis does not show a job that it has."""
    is_silent = isinstance(cause, StoreUnavailable) and cause.silent
    return Reason.REDIS_SILENT if is_silent else Reason.REDIS_CUT


async def _within(seconds: float, call: Awaitable[T]) -> T:
    """Wait at most *seconds* for Redis; raises StoreUnavailable, in doubt."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise _silence(seconds) from None


async def _answered(seconds: float, answer: asyncio.Future[T]) -> T:
    """Do the same, at a quarter of the cost, where the answer is nobody else's."""
    timer = asyncio.get_running_loop().call_later(seconds, _give_up, answer, seconds)
    try:
        return await answer
    finally:
        timer.cancel()


def _give_up(answer: asyncio.Future[T], seconds: float) -> None:
    if not answer.done():
        answer.set_exception(_silence(seconds))


def _silence(seconds: float) -> StoreUnavailable:
    return StoreUnavailable(
        f"Redis did not answer within {seconds:g} s", in_doubt=True, silent=True
    )

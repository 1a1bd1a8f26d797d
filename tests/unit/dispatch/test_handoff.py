"""Decisions that no server can be brought to ask for at a given moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import DispatchInDoubt, Observer, QueueSpec, Reason, StoreUnavailable, job
from bullq.dispatch.breaker import Breaker
from bullq.dispatch.errand import Arrival, Errand
from bullq.dispatch.handoff import Handoff
from bullq.dispatch.lane import Admitted
from bullq.dispatch.means import Means
from bullq.dispatch.pickup import Expected
from bullq.dispatch.terms import Terms
from bullq.engines.inngest.messages import JobMessage, Outcome, Sending
from bullq.store.adding import JobKind, NewJob
from bullq.store.arbiter import Added, Adding, Parcel, Pickup, Settled, Verdict
from bullq.telemetry.hooks import DispatchEvent

PARCEL = Parcel("one", "greet", "{}", "{}", 1, 1)


class Number(BaseModel):
    number: int = 1


@job(queue="mail")
async def greet(data: Number) -> None:
    """Do nothing."""


class Lane:
    """A queue whose answers the test gives; hears what it is asked."""

    epoch = "epoch"
    dispatcher = "me"
    queue = SimpleNamespace(spec=QueueSpec(name="mail"))

    def __init__(self, added: Adding | Exception, settled: Settled | None = None) -> None:
        self.added = added
        self.settled = settled
        self.asked: list[str] = []

    def learn_epoch(self) -> asyncio.Future[str]:
        self.asked.append("learn")
        self.epoch = "learnt"
        learnt: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        learnt.set_result(self.epoch)
        return learnt

    def add(self, new: NewJob, *_: object) -> asyncio.Future[Admitted]:
        self.asked.append("add")
        answer: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        if isinstance(self.added, Exception):
            answer.set_exception(self.added)
        else:
            answer.set_result(Admitted(Added(self.added, new.id), self.epoch))
        return answer

    async def look(self, _: str) -> Any:
        self.asked.append("look")
        raise StoreUnavailable("no answer", in_doubt=True, silent=True)

    def settle(self, *_: object) -> asyncio.Future[Settled]:
        self.asked.append("settle")
        answer: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        assert self.settled is not None
        answer.set_result(self.settled)
        return answer

    def sent(self, _: str) -> None:
        self.asked.append("sent")

    def decided(self, _: str) -> None:
        self.asked.append("decided")


class Fallback:
    """An Inngest that is *ready* and answers events in turn."""

    why_not = "it does not know the job"

    def __init__(self, *outcomes: Outcome, ready: bool = True) -> None:
        self.outcomes = list(outcomes)
        self.ready = ready
        self.sent: list[JobMessage] = []

    def warm(self) -> None:
        """Be ready as it is."""

    def takes(self, _: int) -> bool:
        return True

    async def is_ready(self, *_: object) -> bool:
        await asyncio.sleep(0)
        return self.ready

    async def send(self, message: JobMessage, _: float) -> Sending:
        await asyncio.sleep(0)
        self.sent.append(message)
        return Sending(self.outcomes.pop(0), "why")


class Pickups:
    """Nobody tells that a job has begun."""

    def expect(self, *_: object) -> Expected:
        return Expected(asyncio.get_running_loop())

    def forget(self, *_: object) -> None:
        """Have nothing to forget."""


def a_handoff(fallback: Fallback, observer: Observer) -> Handoff:
    means: Any = Means(
        use_bullmq=True,
        breaker=Breaker(),
        fallback=fallback,  # type: ignore[arg-type] # as much of one as is needed
        outbox=None,
        observer=observer,
    )
    pickups: Any = Pickups()
    return Handoff(means, pickups)


def an_errand(lane: Lane, *, confirm: bool = True) -> Errand:
    terms = Terms(
        confirm=confirm,
        fallback=True,
        keep=False,
        pickup=Pickup.STARTED,
        on_data_loss="raise",
        deadline=60,
        redis=30,
        wait=0.001,
        spare=1,
    )
    here: Any = lane
    return Errand(greet, NewJob(JobKind("greet", {}), "one", "{}"), here, terms)


async def handed_over(lane: Lane, fallback: Fallback, *, confirm: bool = True) -> Arrival:
    handoff = a_handoff(fallback, Observer())
    return await handoff.hand_over(an_errand(lane, confirm=confirm))


def _guards(fallback: Fallback) -> Sequence[bool]:
    return ["guard" in message.told for message in fallback.sent]


async def test_a_redis_that_falls_silent_after_the_add_is_not_asked_again_and_again() -> None:
    lane, fallback = Lane(Adding.ADDED), Fallback(Outcome.ACCEPTED)
    arrival = await handed_over(lane, fallback)
    assert (arrival.engine, arrival.reason) == ("inngest", Reason.REDIS_SILENT)
    assert lane.asked == ["add", "look"]  # the time that is left is the event's
    assert _guards(fallback) == [True]


async def test_nothing_is_sent_before_the_epoch_is_known_in_which_it_is_sent() -> None:
    lane, fallback = (
        Lane(StoreUnavailable("cut", in_doubt=True, silent=True)),
        Fallback(Outcome.ACCEPTED),
    )
    lane.epoch = ""
    await handed_over(lane, fallback)
    assert lane.asked == ["learn", "add"]
    assert [message.told["guard"]["epoch"] for message in fallback.sent] == ["learnt"]


async def test_a_job_that_was_routed_before_is_not_said_to_be_queued() -> None:
    lane = Lane(Adding.ROUTED, Settled(Verdict.ROUTED, parcel=PARCEL))
    fallback = Fallback(Outcome.ACCEPTED)
    arrival = await handed_over(lane, fallback, confirm=False)
    assert (arrival.engine, arrival.state, arrival.reason) == ("inngest", "sent", Reason.REROUTED)
    assert lane.asked == ["add", "settle", "sent"]
    assert _guards(fallback) == [False]


async def test_a_routed_job_is_left_to_the_sweeper_where_inngest_would_drop_its_event() -> None:
    lane = Lane(Adding.ROUTED, Settled(Verdict.ROUTED, parcel=PARCEL))
    fallback = Fallback(ready=False)
    arrival = await handed_over(lane, fallback)
    assert (arrival.engine, arrival.state) == ("outbox", "kept")
    assert not fallback.sent


async def test_a_refusal_says_nothing_of_an_event_that_was_sent_before_it() -> None:
    lane = Lane(StoreUnavailable("connection refused"))
    fallback = Fallback(Outcome.UNKNOWN, Outcome.REFUSED)
    with pytest.raises(DispatchInDoubt):
        await handed_over(lane, fallback)
    assert [message.job_id for message in fallback.sent] == ["one", "one"]


async def test_who_was_not_cancelled_is_not_told_so_where_a_connection_is_closed() -> None:
    class Closing(Lane):
        def add(self, *_: object) -> asyncio.Future[Admitted]:
            answer: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
            answer.cancel()
            return answer

    lane = Closing(Adding.ADDED)
    with pytest.raises(DispatchInDoubt, match="is being closed"):
        await handed_over(lane, Fallback())


class Told(Observer):
    """Hears how dispatches end."""

    def __init__(self) -> None:
        self.engines: list[str] = []

    def job_dispatched(self, dispatch: DispatchEvent) -> None:
        self.engines.append(dispatch.engine)


async def test_a_caller_may_go_at_any_moment_and_the_decision_is_made_once() -> None:
    gone, turns = True, 0
    while gone:
        lane = Lane(Adding.ROUTED, Settled(Verdict.ROUTED, parcel=PARCEL))
        fallback, told = Fallback(Outcome.ACCEPTED), Told()
        handoff = a_handoff(fallback, told)
        dispatching = asyncio.create_task(handoff.hand_over(an_errand(lane)))
        for _ in range(turns):
            await asyncio.sleep(0)
        gone = dispatching.cancel()
        await asyncio.wait([dispatching])
        await handoff.aclose()
        begun = bool(lane.asked)
        assert begun or turns <= 1
        assert told.engines == ["inngest"] * begun
        assert len(fallback.sent) == begun
        turns += 1
    assert turns > 5
    assert dispatching.result().engine == "inngest"

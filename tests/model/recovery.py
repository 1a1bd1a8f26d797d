"""Who goes on where a dispatcher does not: the sweeper over Redis, the relay over the outbox."""

from __future__ import annotations

from tests.model import redis
from tests.model.inngest import accept
from tests.model.state import ENDED, Row, State, put, spend
from tests.model.variant import Case


def sweeper_settles(case: Case, state: State) -> State | None:
    """Settle a job that nobody has begun in time; of a delayed one, since it was due."""
    variant = case.variant
    if not variant.sweeper or not state.due or not redis.may_be_routed(variant, state.record):
        return None
    return redis.settle(variant, state, None)[0]


def _sent(case: Case, state: State) -> State | None:
    """Send the event of a ROUTED job, once that is durable; None where there is none."""
    if not case.variant.routed_list or state.record.place != "ROUTED":
        return None
    durable = redis.make_durable(case.variant, state, "arbiter")
    return accept(case.variant, durable, "plain")


def sweeper_sends(case: Case, state: State) -> State | None:
    sent = _sent(case, state)
    return sent and redis.write(sent, sent.record._replace(place="SENT"))


def sweeper_sends_and_crashes(case: Case, state: State) -> State | None:
    sent = _sent(case, state) if state.left.message else None
    return sent and spend(sent, "message")


def relay_settles(case: Case, who: int, state: State) -> State | None:
    """Settle what the row of a dispatcher that is no more at it left open.

    The rule of evidence holds here, too: then the row stays until Inngest has the event.
    """
    me, variant = state.dispatchers[who], case.variant
    if me.row != "pending" or me.at not in ENDED or not state.due:
        return None
    settled, answer = redis.settle(variant, state, me.epoch)
    settled = redis.make_durable(variant, settled, "arbiter")
    row: Row = "cleared"
    if answer == "lost":
        row = "in doubt"
    elif answer == "routed" and (variant.evidence or not variant.routed_list):
        row = "routed"
    return put(settled, who, me._replace(row=row))


def relay_sends(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.row != "routed":
        return None
    return put(accept(case.variant, state, "plain"), who, me._replace(row="cleared"))


def relay_sends_and_crashes(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.row != "routed" or not state.left.message:
        return None
    return spend(accept(case.variant, state, "plain"), "message")


def relay_sees_job_finished(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.row != "watched" or state.record.place != "finished":
        return None
    return put(state, who, me._replace(row="cleared"))


def relay_runs_again_what_was_lost(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.row != "watched" or not state.wiped:
        return None
    return put(state, who, me._replace(row="routed"))


STEPS = (sweeper_settles, sweeper_sends)
FAULTS = (sweeper_sends_and_crashes,)
RELAY_STEPS = (
    relay_settles,
    relay_sends,
    relay_sees_job_finished,
    relay_runs_again_what_was_lost,
)
RELAY_FAULTS = (relay_sends_and_crashes,)

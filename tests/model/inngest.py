"""Inngest: it accepts events, drops those whose id it has seen, and runs the job's function."""

from __future__ import annotations

from tests.model import redis
from tests.model.state import Event, Run, State, put, spend
from tests.model.variant import Case, Variant


def accept(variant: Variant, state: State, event: Event) -> State:
    """Take an event: one run per id, or one per event where it carries a random id."""
    if state.inngest and variant.event_id:
        return state
    guarded = event == "guarded" and not state.inngest
    run: Run = "queued guarded" if guarded else "queued"
    return state._replace(inngest=run)


def event_is_acknowledged(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.event or me.at not in {"awaiting", "awaiting guarded"}:
        return None
    accepted = accept(case.variant, state, me.event)
    return put(accepted, who, me._replace(at="returning", event=""))


def event_comes_late(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.event or me.at in {"awaiting", "awaiting guarded"}:
        return None
    return put(accept(case.variant, state, me.event), who, me._replace(event=""))


def acknowledgement_is_lost(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.event or me.at not in {"awaiting", "awaiting guarded"} or not state.left.message:
        return None
    accepted = spend(accept(case.variant, state, me.event), "message")
    return put(accepted, who, me._replace(event=""))


def event_is_lost(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.event or not state.left.message:
        return None
    return put(spend(state, "message"), who, me._replace(event=""))


def event_comes_after_a_day(case: Case, who: int, state: State) -> State | None:
    """It is sent again when Inngest has forgotten its id."""
    me = state.dispatchers[who]
    forgotten = state.inngest == "ran" and case.variant.event_id and state.left.window
    if not me.event or me.at not in {"awaiting", "awaiting guarded"} or not forgotten:
        return None
    again = spend(state, "window")._replace(inngest="queued")
    return put(again, who, me._replace(at="returning", event=""))


def inngest_runs(case: Case, state: State) -> State | None:
    if state.inngest != "queued" or not state.due:
        return None
    return state._replace(inngest="ran", on_inngest=state.on_inngest + 1)


def inngest_settles(case: Case, state: State) -> State | None:
    """The first step of a guarded function: the job is run here, or was BullMQ's."""
    if state.inngest != "queued guarded" or not state.due:
        return None
    known = (dispatcher.epoch for dispatcher in state.dispatchers)
    epoch = next((epoch for epoch in known if epoch is not None), None)
    settled, answer = redis.settle(case.variant, state, epoch)
    if answer != "routed":
        return state._replace(inngest="skipped" if answer == "picked" else "in doubt")
    settled = redis.make_durable(case.variant, settled, "arbiter")
    return settled._replace(inngest="ran", on_inngest=state.on_inngest + 1)


DISPATCHERS_STEPS = (event_is_acknowledged, event_comes_late)
DISPATCHERS_FAULTS = (acknowledgement_is_lost, event_is_lost, event_comes_after_a_day)
STEPS = (inngest_runs, inngest_settles)

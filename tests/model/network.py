"""What becomes of requests to Redis: answered, answered too late, executed unheard, or lost."""

from __future__ import annotations

from tests.model import redis
from tests.model.state import Dispatcher, Doing, State, put, spend
from tests.model.variant import Case


def _is_refused(case: Case, me: Dispatcher, state: State) -> bool:
    """An add names the epoch that its dispatcher has learnt from other jobs' adds."""
    return bool(case.variant.epoch) and state.wiped and me.epoch != state.wiped


def add_is_answered(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.add or me.at != "adding" or _is_refused(case, me, state):
        return None
    return _added(case, who, state)


def _added(case: Case, who: int, state: State) -> State:
    """Execute an add and answer it, with the epoch."""
    me = state.dispatchers[who]
    state = redis.add(case.variant, state, delayed=case.delayed)
    at: Doing = "returning" if case.variant.returns_after_add else "confirming"
    epoch = int(state.wiped) if case.variant.epoch else None
    state = redis.make_durable(case.variant, state, "arbiter")
    return put(state, who, me._replace(at=at, add=False, epoch=epoch))


def add_is_refused(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.add or not _is_refused(case, me, state):
        return None
    if me.at != "adding":
        return put(state, who, me._replace(add=False))
    if case.variant.when_refused == "add":
        return _added(case, who, state)
    at: Doing = "unsure" if case.variant.when_refused == "settle" else "sending"
    return put(state, who, me._replace(at=at, add=False))


def add_comes_late(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.add or me.at == "adding" or _is_refused(case, me, state):
        return None
    state = redis.add(case.variant, state, delayed=case.delayed)
    return put(state, who, me._replace(add=False))


def answer_to_add_is_lost(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.add or me.at != "adding" or _is_refused(case, me, state) or not state.left.message:
        return None
    state = redis.add(case.variant, state, delayed=case.delayed)
    return put(spend(state, "message"), who, me._replace(add=False))


def add_is_lost(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.add or not state.left.message:
        return None
    return put(spend(state, "message"), who, me._replace(add=False))


def _after(case: Case, me: Dispatcher, answer: redis.Answer) -> Dispatcher:
    """Have the dispatcher do what the answer to its settle says."""
    at: Doing = "returning"
    if answer == "lost":
        at = "raised"
    elif answer == "routed" and (case.variant.evidence or not case.variant.routed_list):
        at = "sending"
    return me._replace(at=at, settle=False)


def settle_is_answered(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.settle or me.at != "settling":
        return None
    settled, answer = redis.settle(case.variant, state, me.epoch)
    settled = redis.make_durable(case.variant, settled, "arbiter")
    return put(settled, who, _after(case, me, answer))


def settle_comes_late(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.settle or me.at == "settling":
        return None
    return put(redis.settle(case.variant, state, me.epoch)[0], who, me._replace(settle=False))


def answer_to_settle_is_lost(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.settle or me.at != "settling" or not state.left.message:
        return None
    settled = spend(redis.settle(case.variant, state, me.epoch)[0], "message")
    return put(settled, who, me._replace(settle=False))


def settle_is_lost(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if not me.settle or not state.left.message:
        return None
    return put(spend(state, "message"), who, me._replace(settle=False))


STEPS = (
    add_is_answered,
    add_is_refused,
    add_comes_late,
    settle_is_answered,
    settle_comes_late,
)
FAULTS = (
    answer_to_add_is_lost,
    add_is_lost,
    answer_to_settle_is_lost,
    settle_is_lost,
)

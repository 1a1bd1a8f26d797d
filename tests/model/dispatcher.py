"""What a dispatcher does by itself: send, see, give up waiting, return, crash."""

from __future__ import annotations

from tests.model.redis import is_picked, make_durable, write
from tests.model.state import ENDED, Doing, Event, Row, State, put, spend
from tests.model.variant import Case

_WHERE_CUT_OFF: dict[str, Doing] = {
    "send": "sending",
    "guarded": "sending guarded",
    "outbox": "returning",
}


def sends_add(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.at != "new":
        return None
    row: Row = me.row or ("pending" if case.variant.outbox else "")
    return put(state, who, me._replace(at="adding", add=True, row=row))


def resends_add(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.at != "adding" or me.add or not case.variant.resends_add:
        return None
    return put(state, who, me._replace(add=True))


def gives_up_on_add(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.at != "adding":
        return None
    return put(state, who, me._replace(at="unsure", add=me.add and case.late))


def sees_pickup(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.at != "confirming" or case.variant.grant or not is_picked(state.record):
        return None
    return put(state, who, me._replace(at="returning"))


def sees_that_job_is_scheduled(case: Case, who: int, state: State) -> State | None:
    """A delayed job is not waited for: the sweeper keeps its deadline."""
    me = state.dispatchers[who]
    if me.at != "confirming" or not case.delayed or state.record.place != "delayed":
        return None
    return put(state, who, me._replace(at="returning"))


def sees_job_routed(case: Case, who: int, state: State) -> State | None:
    """Somebody has settled the job before; who wants evidence sends the event himself, too."""
    me, place = state.dispatchers[who], state.record.place
    if me.at != "confirming":
        return None
    if place == "SENT" or (place == "ROUTED" and not case.variant.evidence):
        return put(state, who, me._replace(at="returning"))
    if place in {"tombstone", "ROUTED"}:
        return put(make_durable(case.variant, state, "arbiter"), who, me._replace(at="sending"))
    return None


def deadline_passes(case: Case, who: int, state: State) -> State | None:
    """The deadline of a delayed job counts from when it is due."""
    me = state.dispatchers[who]
    if me.at != "confirming" or not state.due:
        return None
    return put(state._replace(overdue=True), who, me._replace(at="unsure"))


def grants(case: Case, who: int, state: State) -> State | None:
    me, record = state.dispatchers[who], state.record
    if me.at != "confirming" or not case.variant.grant or record.go or record.place != "active":
        return None
    return put(write(state, record._replace(go=True)), who, me._replace(at="returning"))


def grants_and_hears_nothing(case: Case, who: int, state: State) -> State | None:
    granted = grants(case, who, state)
    if granted is None or not state.left.message:
        return None
    me = granted.dispatchers[who]
    return put(spend(granted, "message"), who, me._replace(at="granting"))


def asks_for_its_grant(case: Case, who: int, state: State) -> State | None:
    me, record = state.dispatchers[who], state.record
    if me.at != "granting":
        return None
    if not record.go and record.place in {"active", "wait"}:
        state = write(state, record._replace(go=True))
    elif not record.go and record.place != "finished":
        return None
    return put(state, who, me._replace(at="returning"))


def sends_without_asking(case: Case, who: int, state: State) -> State | None:
    """The obvious fallback; a dispatcher that grants may do it, as it has granted nothing."""
    me, variant = state.dispatchers[who], case.variant
    if me.at != "unsure" or not (variant.grant or variant.when_unsure == "send"):
        return None
    return put(state, who, me._replace(at="sending"))


def raises_without_asking(case: Case, who: int, state: State) -> State | None:
    """Plain BullMQ: the caller gets an error, and nobody looks after the job any more."""
    me, variant = state.dispatchers[who], case.variant
    if me.at != "unsure" or variant.grant or variant.when_unsure != "raise":
        return None
    return put(state, who, me._replace(at="crashed"))


def sends_settle(case: Case, who: int, state: State) -> State | None:
    me, variant = state.dispatchers[who], case.variant
    if me.at != "unsure" or variant.grant or variant.when_unsure != "settle":
        return None
    return put(state, who, me._replace(at="settling", settle=True))


def resends_settle(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.at != "settling" or me.settle:
        return None
    return put(state, who, me._replace(settle=True))


def is_cut_off(case: Case, who: int, state: State) -> State | None:
    """Redis cannot be reached to settle; a caller that is held (cut_off="hold") goes on asking."""
    me = state.dispatchers[who]
    there = _WHERE_CUT_OFF.get(case.variant.cut_off)
    if me.at != "settling" or not state.left.cut or there is None:
        return None
    return put(spend(state, "cut"), who, me._replace(at=there, settle=False))


def finds_inngest_away(case: Case, who: int, state: State) -> State | None:
    """Nobody answers its event, which may still arrive."""
    me, variant = state.dispatchers[who], case.variant
    sending = me.at in {"awaiting", "awaiting guarded"}
    if not sending or not state.left.away or variant.inngest_away == "hold":
        return None
    guarded = me.at == "awaiting guarded"
    state = spend(state, "away")
    if variant.inngest_away == "outbox":
        return put(state, who, me._replace(at="returning", row="pending" if guarded else "routed"))
    return put(state, who, me._replace(at="raised" if guarded else "returning"))


def sends_event(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.at == "sending guarded" and case.variant.guard:
        return put(state, who, me._replace(at="awaiting guarded", event="guarded"))
    if me.at in {"sending", "sending guarded"}:
        return put(state, who, me._replace(at="awaiting", event="plain"))
    return None


def resends_event(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    if me.at not in {"awaiting", "awaiting guarded"} or me.event:
        return None
    event: Event = "guarded" if me.at == "awaiting guarded" else "plain"
    return put(state, who, me._replace(event=event))


def returns(case: Case, who: int, state: State) -> State | None:
    """dispatch() returns; its row is cleared only where an engine has the job for sure."""
    me, record = state.dispatchers[who], state.record
    if me.at != "returning":
        return None
    row = me.row
    if row == "pending" and (is_picked(record) or record.place == "SENT" or state.inngest):
        row = "cleared"
    if case.variant.journal and record.place != "finished" and not state.inngest:
        row = "watched"
    if case.variant.forgets and is_picked(record):
        state = state._replace(record=record._replace(known=""))
    return put(state, who, me._replace(at="done", accepted=True, row=row))


def crashes(case: Case, who: int, state: State) -> State | None:
    """What it has under way may still arrive; a row in memory is gone."""
    me = state.dispatchers[who]
    if me.at == "new" or me.at in ENDED or not state.left.crash:
        return None
    gone = me._replace(
        at="crashed",
        add=me.add and case.late,
        settle=me.settle and case.late,
        row=me.row if case.variant.outbox == "disk" else "",
    )
    return put(spend(state, "crash"), who, gone)


def crashes_after_it_returned(case: Case, who: int, state: State) -> State | None:
    me = state.dispatchers[who]
    in_memory = case.variant.outbox == "memory" and me.row == "pending"
    if me.at != "done" or not in_memory or not state.left.crash:
        return None
    return put(spend(state, "crash"), who, me._replace(at="crashed", row=""))


def is_asked_again(case: Case, who: int, state: State) -> State | None:
    """The caller of a dispatcher that crashed dispatches the job once more, by the same id."""
    me = state.dispatchers[who]
    if me.at != "crashed" or me.accepted or not state.left.retry:
        return None
    return put(spend(state, "retry"), who, me._replace(at="new"))


STEPS = (
    sends_add,
    resends_add,
    gives_up_on_add,
    sees_pickup,
    sees_that_job_is_scheduled,
    sees_job_routed,
    deadline_passes,
    grants,
    asks_for_its_grant,
    sends_without_asking,
    raises_without_asking,
    sends_settle,
    resends_settle,
    sends_event,
    resends_event,
    returns,
)
FAULTS = (
    grants_and_hears_nothing,
    is_cut_off,
    finds_inngest_away,
    crashes,
    crashes_after_it_returned,
    is_asked_again,
)

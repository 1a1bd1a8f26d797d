"""BullMQ's workers: claim, started, run, finish; and how they die, stall and are relieved."""

from __future__ import annotations

from tests.model import redis
from tests.model.state import State, spend, working
from tests.model.variant import Case


def claims(case: Case, who: int, state: State) -> State | None:
    """The second worker is only there for what comes twice: before, they are alike."""
    record, relieves = state.record, bool(state.redelivered or state.on_bullmq)
    if state.workers[who] != "idle" or record.place != "wait" or (who and not relieves):
        return None
    if _is_fenced(case, state):
        return None
    claimed = record._replace(place="active", lock=who, claims=min(record.claims + 1, 2))
    return working(redis.write(state, claimed), who, "claimed")


def _is_fenced(case: Case, state: State) -> bool:
    return case.variant.fence and case.variant.started and state.overdue and not state.record.claims


def refuses_after_the_deadline(case: Case, who: int, state: State) -> State | None:
    record = state.record
    if state.workers[who] != "idle" or record.place != "wait" or not _is_fenced(case, state):
        return None
    fenced = record._replace(place="ROUTED" if case.variant.routed_list else "tombstone")
    return redis.write(state, fenced)


def _is_mine(case: Case, who: int, state: State) -> bool:
    """What *started* asks; a foreign worker does not ask."""
    if not case.variant.started:
        return True
    record = state.record
    if record.place == "absent":
        return case.variant.runs_missing and record.known != "routed"
    return record.place == "active" and record.lock == who


def starts(case: Case, who: int, state: State) -> State | None:
    if state.workers[who] != "claimed" or not _is_mine(case, who, state):
        return None
    if case.variant.started and case.variant.grant and not state.record.go:
        return None
    if case.variant.started:
        state = redis.make_durable(case.variant, state, "worker")
    return working(state, who, "runs")._replace(on_bullmq=state.on_bullmq + 1)


def drops_what_is_not_its_own(case: Case, who: int, state: State) -> State | None:
    if state.workers[who] != "claimed" or _is_mine(case, who, state):
        return None
    return working(state, who, "idle")


def finishes(case: Case, who: int, state: State) -> State | None:
    """Only the lock's holder may file the job as finished."""
    record = state.record
    if state.workers[who] != "runs":
        return None
    if record.place == "active" and record.lock == who:
        state = redis.write(state, record._replace(place="finished", lock=None))
    return working(state, who, "idle")


def fails_and_is_to_retry_later(case: Case, who: int, state: State) -> State | None:
    """A backoff puts the job among the delayed ones, where it waits for BullMQ alone."""
    record = state.record
    if state.workers[who] != "runs" or record.lock != who or not state.left.failure:
        return None
    state = redis.write(state, record._replace(place="delayed", lock=None))
    return working(spend(state, "failure")._replace(redelivered=True), who, "idle")


def is_killed(case: Case, who: int, state: State) -> State | None:
    if state.workers[who] == "idle" or not state.left.kill:
        return None
    return working(spend(state, "kill")._replace(redelivered=True), who, "idle")


def stalls_past_its_lock(case: Case, who: int, state: State) -> State | None:
    record = state.record
    if state.workers[who] == "idle" or record.lock != who or not state.left.stall:
        return None
    stalled = spend(state, "stall")._replace(redelivered=True)
    return stalled._replace(record=record._replace(lock=None))


def lock_of_the_dead_expires(case: Case, state: State) -> State | None:
    record = state.record
    if record.lock is None or state.workers[record.lock] != "idle":
        return None
    return state._replace(record=record._replace(lock=None), redelivered=True)


def stalled_check_brings_back(case: Case, state: State) -> State | None:
    record = state.record
    if record.place != "active" or record.lock is not None:
        return None
    return redis.write(state, record._replace(place="wait"))._replace(redelivered=True)


def delayed_job_is_promoted(case: Case, state: State) -> State | None:
    if state.record.place != "delayed" or not state.due:
        return None
    return redis.write(state, state.record._replace(place="wait"))


STEPS = (claims, refuses_after_the_deadline, starts, drops_what_is_not_its_own, finishes)
FAULTS = (fails_and_is_to_retry_later, is_killed, stalls_past_its_lock)
EVERYBODYS_STEPS = (
    lock_of_the_dead_expires,
    stalled_check_brings_back,
    delayed_job_is_promoted,
)

"""What happens to Redis's data: time makes jobs due, retention trims, disks and failovers lose."""

from __future__ import annotations

from tests.model import redis
from tests.model.state import Record, State, spend
from tests.model.variant import Case


def job_is_due(case: Case, state: State) -> State | None:
    return None if state.due else state._replace(due=True)


def record_is_trimmed(case: Case, state: State) -> State | None:
    """removeOnComplete: the record goes, what the index of pickups knows stays.

    What is ROUTED, and not yet SENT, is on a list of its own, which is not trimmed.
    """
    if not case.trims or state.record.place not in {"finished", "tombstone", "SENT"}:
        return None
    return redis.write(state, Record(known=state.record.known))


def redis_loses_its_last_write(case: Case, state: State) -> State | None:
    if not state.left.lost_write or state.record == state.before:
        return None
    return spend(state, "lost_write")._replace(record=state.before)


def redis_starts_empty(case: Case, state: State) -> State | None:
    if not state.left.wipe or state.record.place == "absent":
        return None
    return spend(state, "wipe")._replace(wiped=True, record=Record())


STEPS = (job_is_due, record_is_trimmed)
FAULTS = (redis_loses_its_last_write, redis_starts_empty)

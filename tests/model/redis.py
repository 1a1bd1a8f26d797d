"""What Redis does in one step: write, make durable, and settle, the arbiter's question."""

from __future__ import annotations

from typing import Literal

from tests.model.state import OVER, Known, Place, Record, State
from tests.model.variant import Variant

Answer = Literal["routed", "picked", "lost"]


def write(state: State, record: Record) -> State:
    """Write the record; what it was before is what a loss of the write brings back."""
    return state._replace(record=record, before=state.record)


def make_durable(variant: Variant, state: State, who: Literal["arbiter", "worker"]) -> State:
    """Wait until the last write can no longer be lost, where *who* does that."""
    return state._replace(before=state.record) if who in variant.barrier else state


def add(variant: Variant, state: State, *, delayed: bool) -> State:
    """Add the job, unless its id is taken."""
    record = state.record
    if record.place != "absent" or record.known:
        return state
    place: Place = "delayed" if delayed else "wait"
    known: Known = "added" if variant.remembers else ""
    added = record._replace(place=place, lock=None, claims=0, known=known)
    return write(state, added)._replace(added=True)


def is_picked(record: Record) -> bool:
    """Tell whether a worker has begun the job, also if its record has been trimmed since."""
    if record.place in {"wait", "delayed"}:
        return record.claims > 0
    return record.place in {"active", "finished"} or (
        record.place == "absent" and record.known == "added"
    )


def may_be_routed(variant: Variant, record: Record) -> bool:
    """Tell whether the job waits on its queue and no worker has ever begun it."""
    waits = record.place in {"wait", "delayed"}
    return waits and not (record.claims and variant.asks_for_claims)


def settle(variant: Variant, state: State, epoch: int | None) -> tuple[State, Answer]:
    """Decide which engine runs the job; asking again gives the same answer.

    With the *epoch* that the asker knows, an absent job of another epoch is lost.
    """
    if variant.settle_by == "job.remove":
        return _remove(state)
    record = state.record
    if record.place in OVER or (record.place == "absent" and record.known == "routed"):
        return state, "routed"
    if may_be_routed(variant, record):
        return _route(variant, state), "routed"
    if is_picked(record):
        return state, "picked"
    if epoch is not None and epoch != state.wiped:
        return state, "lost"
    return _route(variant, state), "routed"


def _route(variant: Variant, state: State) -> State:
    """Take the job from BullMQ, and leave what the variant leaves in its place."""
    place: Place = "absent"
    if variant.routed_list:
        place = "ROUTED"
    elif variant.tombstone:
        place = "tombstone"
    elif state.record.place == "absent":
        return state
    known: Known = "routed" if variant.remembers else ""
    return write(state, state.record._replace(place=place, known=known))


def _remove(state: State) -> tuple[State, Answer]:
    """Call the official job.remove(): it refuses a locked job only, and takes finished ones."""
    record = state.record
    if record.place in OVER or record.place == "absent":
        return state, "routed"
    if record.lock is not None:
        return state, "picked"
    return write(state, record._replace(place="absent", claims=0)), "routed"

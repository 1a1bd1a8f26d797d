"""All there is at one moment: the job's record in Redis, dispatchers, workers, Inngest."""

from __future__ import annotations

from typing import Literal, NamedTuple

Place = Literal["absent", "delayed", "wait", "active", "finished", "tombstone", "ROUTED", "SENT"]
Doing = Literal[
    "new",
    "adding",
    "confirming",
    "granting",
    "unsure",
    "settling",
    "sending",
    "sending guarded",
    "awaiting",
    "awaiting guarded",
    "returning",
    "done",
    "crashed",
    "raised",
]
Known = Literal["", "added", "routed"]
Event = Literal["", "plain", "guarded"]
Row = Literal["", "pending", "routed", "watched", "in doubt", "cleared"]
Run = Literal["", "queued", "queued guarded", "skipped", "in doubt", "ran"]
Working = Literal["idle", "claimed", "runs"]

ENDED: frozenset[Doing] = frozenset({"done", "crashed", "raised"})
OVER: frozenset[Place] = frozenset({"tombstone", "ROUTED", "SENT"})


class Record(NamedTuple):
    """The job in Redis; what is written in one script changes at once."""

    place: Place = "absent"
    lock: int | None = None  # the worker that holds it
    claims: int = 0  # 2 stands for more
    go: bool = False
    known: Known = ""  # what the index of pickups says of the id, where there is one


class Dispatcher(NamedTuple):
    """A process that dispatches, and what it has under way."""

    at: Doing = "new"
    add: bool = False
    settle: bool = False
    event: Event = ""
    row: Row = ""
    accepted: bool = False  # dispatch() returned
    epoch: int | None = None  # as the dispatcher knows it; after a loss of data it is another one


class Faults(NamedTuple):
    """How often each fault may still happen."""

    message: int = 0
    crash: int = 0
    retry: int = 0
    cut: int = 0
    kill: int = 0
    stall: int = 0
    failure: int = 0
    away: int = 0
    window: int = 0
    lost_write: int = 0
    wipe: int = 0


class State(NamedTuple):
    """One moment of one job's life."""

    dispatchers: tuple[Dispatcher, ...]
    left: Faults
    record: Record = Record()
    before: Record = Record()  # the record as it was before the last write that may be lost
    workers: tuple[Working, ...] = ("idle", "idle")
    inngest: Run = ""
    on_bullmq: int = 0  # times the job was started there
    on_inngest: int = 0
    due: bool = True
    overdue: bool = False
    added: bool = False
    redelivered: bool = False
    wiped: bool = False


def put(state: State, who: int, dispatcher: Dispatcher) -> State:
    """Have dispatcher number *who* be *dispatcher*."""
    others = state.dispatchers
    return state._replace(dispatchers=(*others[:who], dispatcher, *others[who + 1 :]))


def working(state: State, who: int, doing: Working) -> State:
    """Have worker number *who* do *doing*."""
    others = state.workers
    return state._replace(workers=(*others[:who], doing, *others[who + 1 :]))


def spend(state: State, fault: str) -> State:
    """Take one *fault* from those that may happen."""
    return state._replace(left=state.left._replace(**{fault: getattr(state.left, fault) - 1}))

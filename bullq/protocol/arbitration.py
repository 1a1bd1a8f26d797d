"""What the arbiter is told and answers: which engine has a job, and how its queue does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

ROUTED_FIELD = "bullq:routed"
"""The field of a job's hash that says when it went to another engine, ms since the epoch."""

ROUTED_KEY = "bullq:routed"
"""The queue's sorted set of jobs that went to another engine."""

ARBITRATION_KEYS = (
    *("bullq:pickups", ROUTED_KEY, "bullq:rerouted", "bullq:parcels"),
    *("bullq:epoch", "bullq:sweeper"),
)
"""Every key of a queue that is the arbiter's (lua/includes/standing.lua says what they hold)."""


class Pickup(StrEnum):
    """Whether live workers excuse that a job has not begun in time."""

    ALIVE = "alive"
    STARTED = "started"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Who waits for jobs to begin (*dispatcher*), and for how long.

    *timeout_ms* counts from the add, or from when a delayed job is due.
    """

    dispatcher: str
    timeout_ms: int
    pickup: Pickup = Pickup.ALIVE


class Adding(StrEnum):
    """What adding a job with confirmation came to."""

    ADDED = "added"
    AGAIN = "again"
    """It is on the queue, or was: this dispatcher has added it before."""
    ROUTED = "routed"
    """It went to another engine before the add arrived."""
    TAKEN = "taken"
    """The id stands for another job: one of this id, or the one it is a duplicate of."""
    REFUSED = "refused"


class Added(NamedTuple):
    """How one add ended.

    *detail* is the id of the job that the id stands for (one's own where it was added); for
    REFUSED a negative number of BullMQ's, or an error's text after '!'.
    """

    outcome: Adding
    detail: str | int


class ConfirmedAdds(NamedTuple):
    """What a call to add_confirmed gave: *epoch* is the queue's now.

    *added* has one entry per job, or is None where data was lost since the epoch that was
    expected: nothing was added then.
    """

    epoch: str
    added: list[Added] | None


class Standing(StrEnum):
    """Where a job stands between the engines."""

    ABSENT = "absent"
    """Nothing is known of it: it was never added."""
    GONE = "gone"
    """It was on the queue, and its record is there no more: it ran, or somebody removed it."""
    ROUTED = "routed"
    """It went to another engine."""
    PICKED = "picked"
    """A worker has begun it."""
    WAITING = "waiting"
    DELAYED = "delayed"
    PARENT = "parent"
    """It waits for its children, or has had some: it stays on BullMQ."""
    SCHEDULE = "schedule"
    """A schedule has made it: it stays on BullMQ."""
    NOWHERE = "nowhere"
    """It has a record, and is in no list of its queue."""


class Condition(NamedTuple):
    """How a queue does. Times are the server's, in ms since the epoch.

    *waiting* has the paused ones, too. *concurrency* is how many jobs may be active in all, 0 for
    any number; *limited_for_ms* how long the rate limit still lasts; *claimed_at_ms* when a job was
    claimed last as far as can be told, 0 where it cannot; *is_held* that the job claimed last has
    a worker that keeps its lock.
    """

    paused: bool
    waiting: int
    prioritized: int
    delayed: int
    active: int
    concurrency: int
    limited_for_ms: int
    claimed_at_ms: int
    is_held: bool


class Looked(NamedTuple):
    """What a look gave: *epoch* is empty where the queue has none."""

    server_ms: int
    epoch: str
    queue: Condition
    standings: list[Standing]


class Parcel(NamedTuple):
    """What the event of a routed job needs: *data* and *options* are JSON texts.

    *timestamp* is when the job was made, *due_ms* when it is to run, both in ms since the epoch.
    """

    id: str
    name: str
    data: str
    options: str
    timestamp: int
    due_ms: int


class Verdict(StrEnum):
    """Which engine has a job, by the arbiter's word."""

    ROUTED = "routed"
    PICKED = "picked"
    GONE = "gone"
    """It was on the queue and is there no more: nobody else may run it."""
    LOST = "lost"
    """Data was lost since the epoch that was expected, and the job with it."""
    PARENT = "parent"
    SCHEDULE = "schedule"
    NOWHERE = "nowhere"
    ERROR = "error"


class Settled(NamedTuple):
    """How a job was settled.

    For ROUTED, *fresh* says that this call did it, and *parcel* has what its event needs: None
    once the event was accepted. For ERROR, *error* has Redis' word.
    """

    verdict: Verdict
    fresh: bool = False
    parcel: Parcel | None = None
    error: str = ""


class Settling(NamedTuple):
    """What a call to settle gave: *epoch* is empty where the queue has none."""

    server_ms: int
    epoch: str
    settled: list[Settled]


class Swept(NamedTuple):
    """What a sweep found.

    *is_ours* is False where somebody else has the lease. *parcels* are events to be sent; *fresh*
    the ids of those that this sweep has routed. *looked_at* and *left* count overdue jobs, *unsent*
    the routed ones whose events were not accepted yet.
    """

    server_ms: int
    is_ours: bool
    parcels: list[Parcel]
    fresh: frozenset[str]
    looked_at: int
    left: int
    unsent: int


def started_channel(prefix: str, dispatcher: str) -> str:
    """Name the channel on which a dispatcher hears which of its jobs have begun."""
    return f"{prefix}:bullq:started:{dispatcher}"


def read_started(message: str) -> tuple[str, list[str]]:
    """Read what is heard there: a queue, and the ids of jobs of it that have begun."""
    queue, *ids = message.split("\0")
    return queue, ids

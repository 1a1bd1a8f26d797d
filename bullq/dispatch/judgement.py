"""Judge a job that nobody has begun yet: whether it may wait on, stays, or is to be settled."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from bullq.jobs.reasons import Reason
from bullq.store.arbiter import Condition, Pickup, Standing

_PROGRESS_MS = 10_000  # since the last claim; workers that took none for so long are stuck


class Course(Enum):
    """What is to be done with a job."""

    WAIT = auto()
    STAYS = auto()
    """It stays on BullMQ, and the dispatch is over."""
    SETTLE = auto()
    """It is for the arbiter to say who has it."""


class Judgement(NamedTuple):
    """A course; *state* is the receipt's, where the job stays."""

    course: Course
    state: str = "queued"
    reason: Reason | None = None


class Sight(NamedTuple):
    """What was seen of a job and its queue. *live* workers: None where that cannot be told."""

    standing: Standing
    queue: Condition
    server_ms: int
    live: int | None


_WAIT = Judgement(Course.WAIT)
_BY_STANDING = {
    Standing.PICKED: Judgement(Course.STAYS, "started"),
    Standing.GONE: Judgement(Course.STAYS, "started"),
    Standing.PARENT: Judgement(Course.STAYS),
    Standing.SCHEDULE: Judgement(Course.STAYS),
    Standing.DELAYED: Judgement(Course.STAYS, "delayed", Reason.DELAYED),
    Standing.ROUTED: Judgement(Course.SETTLE, reason=Reason.REROUTED),
    Standing.ABSENT: Judgement(Course.SETTLE, reason=Reason.DATA_LOST),
    Standing.NOWHERE: Judgement(Course.SETTLE, reason=Reason.DATA_LOST),
}


def judge(sight: Sight, pickup: Pickup, *, time_is_up: bool) -> Judgement:
    """Judge what was seen; *time_is_up* says that the job should have begun by now."""
    if sight.standing is not Standing.WAITING:
        return _BY_STANDING[sight.standing]
    if sight.queue.paused:
        return _stays(Reason.PAUSED)
    if sight.live == 0 and not sight.queue.is_held:
        return Judgement(Course.SETTLE, reason=Reason.NO_WORKERS)
    if not time_is_up:
        return _WAIT
    if pickup is Pickup.STARTED:
        return Judgement(Course.SETTLE, reason=Reason.NOT_STARTED)
    return _why_it_waits(sight)


def _why_it_waits(sight: Sight) -> Judgement:
    """Say why live workers have not begun a job, which excuses it unless they are stuck."""
    queue = sight.queue
    if queue.limited_for_ms > 0:
        return _stays(Reason.RATE_LIMITED)
    if queue.concurrency and queue.active >= queue.concurrency:
        return _stays(Reason.AT_CONCURRENCY)
    claimed_lately = queue.claimed_at_ms and sight.server_ms - queue.claimed_at_ms < _PROGRESS_MS
    if queue.is_held or claimed_lately:
        return _stays(Reason.BACKLOG)
    return Judgement(Course.SETTLE, reason=Reason.WORKERS_STUCK)


def _stays(reason: Reason) -> Judgement:
    return Judgement(Course.STAYS, reason=reason)

"""The parts a handoff protocol is made of, each of which can be left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One protocol. The defaults are of a bare one: add, wait for the pickup, settle, send."""

    returns_after_add: bool = False
    """The dispatcher returns as soon as the job is added, without evidence of a pickup."""
    when_unsure: Literal["settle", "send", "raise"] = "settle"
    """What the dispatcher does that does not know whether BullMQ runs the job."""
    settle_by: Literal["script", "job.remove"] = "script"
    """Who takes a job from BullMQ: a script that asks if it was ever claimed, or job.remove()."""
    resends_add: bool = False
    """An add whose answer was lost is sent once more, under its id."""
    asks_for_claims: bool = True
    """settle leaves a job that is back in wait, but was claimed before."""
    tombstone: bool = False
    """A settled job keeps its id in Redis, so that a late add finds it taken."""
    routed_list: bool = False
    """settle puts the id on a list in the same step, so that anybody can send the event."""
    sweeper: bool = False
    """Overdue jobs are settled by whichever process can reach Redis."""
    outbox: Literal["", "memory", "disk"] = ""
    """Where the dispatcher keeps a row of its own, written before the add."""
    journal: bool = False
    """The row is kept until the job has finished; after a loss of data it is run again."""
    event_id: bool = True
    """The job's id is the event's, so that Inngest drops what it has seen."""
    guard: bool = False
    """A guarded event's function settles with Redis before it runs."""
    cut_off: Literal["hold", "send", "guarded", "outbox"] = "hold"
    """What a dispatcher does that cannot reach Redis to settle."""
    inngest_away: Literal["hold", "list", "outbox"] = "hold"
    """What a dispatcher does that cannot reach Inngest: goes on sending, leaves a ROUTED job to the
    list and raises otherwise, or leaves a row on disk."""
    evidence: bool = False
    """The dispatcher returns on a pickup or on Inngest's answer only, not on the list's entry."""
    started: bool = False
    """Workers ask before the processor whether the job is still theirs; False: foreign ones."""
    runs_missing: bool = False
    """A worker whose claimed job has no record any more runs it."""
    grant: bool = False
    """A worker waits until the dispatcher has written its go."""
    fence: bool = False
    """A worker refuses a job that was never claimed and whose deadline has passed."""
    barrier: frozenset[Literal["arbiter", "worker"]] = field(default=frozenset())
    """Who acts on a write only once it can no longer be lost."""
    epoch: Literal["", "answered", "remembered"] = ""
    """Which epoch a settle names, so that an absent job is 'lost' where the queue's is another one:
    none, that of the answer to this job's add, or the one that the dispatcher has known before."""
    when_refused: Literal["settle", "send", "add"] = "settle"
    """What becomes of an add that is refused because its epoch is over."""
    remembers: bool = False
    """Redis knows the ids it has had, also when a job's record has been trimmed."""
    forgets: bool = False
    """It need not any more as soon as a dispatcher has seen the job begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is checked: a variant, and the world it lives in."""

    variant: Variant
    workers: bool = True
    """Somebody runs workers."""
    late: bool = False
    """A request may arrive after its sender has given up on it."""
    delayed: bool = False
    """The job is to run later."""
    trims: bool = False
    """Records of finished jobs are removed."""
    resends: bool = False
    """A second dispatcher dispatches the same id, at any time."""

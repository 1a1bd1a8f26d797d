"""Each part of our protocol taken out in turn, which has to break; and what lies beyond it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.model import faults
from tests.model.faults import FaultSet
from tests.model.search import Found, check
from tests.model.variant import Variant
from tests.model.variants import CHOSEN, EVIDENCE, STRICT


@dataclass(frozen=True, slots=True)
class Trial:
    """A variant in the world where its difference shows, and what is to be found there."""

    name: str
    variant: Variant
    faults: FaultSet
    expected: str
    delayed: bool = False
    trims: bool = False
    resends: bool = False

    def run(self) -> Found:
        return check(
            self.variant,
            self.faults,
            delayed=self.delayed,
            trims=self.trims,
            resends=self.resends,
        )


ABLATIONS = (
    Trial("random event id", replace(STRICT, event_id=False), faults.CUT, "X2 I2"),
    Trial("job.remove()", replace(STRICT, settle_by="job.remove"), faults.LOST_WRITE, "LOST X2"),
    Trial("job.remove(), no fault", replace(STRICT, settle_by="job.remove"), faults.SLOW, "X2"),
    Trial("no settle", replace(STRICT, when_unsure="send"), faults.SLOW, "X2"),
    Trial(
        "neither list nor outbox",
        replace(STRICT, routed_list=False, sweeper=False, outbox=""),
        faults.CRASH,
        "VANISH STRAND",
    ),
    Trial(
        "neither sweeper nor outbox",
        replace(STRICT, sweeper=False, outbox=""),
        faults.CRASH,
        "STRAND",
    ),
    Trial(
        "no tombstone",
        replace(STRICT, tombstone=False, routed_list=False, sweeper=False),
        faults.LATE,
        "X2",
    ),
    Trial("in doubt: run anyway", replace(STRICT, cut_off="send"), faults.CUT, "X2"),
    Trial("events not guarded", replace(STRICT, guard=False), faults.CUT, "X2"),
    Trial("no evidence", replace(STRICT, evidence=False), faults.EMPTY, "LOST raised"),
    Trial("no barrier", replace(STRICT, barrier=frozenset()), faults.LOST_WRITE, "X2 B2"),
    Trial(
        "the arbiter's barrier only",
        replace(STRICT, barrier=frozenset({"arbiter"})),
        faults.LOST_WRITE,
        "X2 B2",
    ),
    Trial(
        "a missing record is refused",
        replace(STRICT, runs_missing=False),
        faults.EMPTY,
        "LOST raised",
    ),
    Trial("no epoch", replace(STRICT, epoch=""), faults.EMPTY, "X2"),
    Trial(
        "settle does not ask for claims",
        replace(STRICT, asks_for_claims=False),
        faults.STALL,
        "X2",
    ),
    Trial("journal", replace(STRICT, journal=True), faults.EMPTY, "X2 raised"),
)

_RESENDING = replace(STRICT, resends_add=True)
_OUR_MEMORY = replace(CHOSEN, remembers=True)
_STRICT_MEMORY = replace(STRICT, remembers=True)
_NO_ROW = replace(EVIDENCE, epoch="remembered")

DELAYED = (
    Trial("no fault", CHOSEN, faults.SLOW, "ok", delayed=True),
    Trial("late messages", CHOSEN, faults.LATE, "ok", delayed=True),
    Trial("a crash", CHOSEN, faults.CRASH, "ok", delayed=True),
    Trial("cut off", CHOSEN, faults.CUT, "ok", delayed=True),
    Trial("a failure and its backoff", CHOSEN, faults.FAILURE, "ok", delayed=True),
    Trial(
        "the same, and settle does not ask for claims",
        replace(CHOSEN, asks_for_claims=False),
        faults.FAILURE,
        "X2",
        delayed=True,
    ),
    Trial("a lost write, strict", STRICT, faults.LOST_WRITE, "ok", delayed=True),
    Trial("Redis empty, strict", STRICT, faults.EMPTY, "raised", delayed=True),
    Trial("Redis empty, no row", _NO_ROW, faults.EMPTY, "LOST raised", delayed=True),
)
TRIMMED = (
    Trial("records are trimmed, nothing remembered", CHOSEN, faults.SLOW, "X2", trims=True),
    Trial("the same, two adds", CHOSEN, faults.CRASH, "X2 B2", trims=True),
    Trial("ids remembered, no fault", _OUR_MEMORY, faults.SLOW, "ok", trims=True),
    Trial("ids remembered, late messages", _OUR_MEMORY, faults.LATE, "ok", trims=True),
    Trial("ids remembered, a crash", _OUR_MEMORY, faults.CRASH, "ok", trims=True),
    Trial("ids remembered, cut off", _OUR_MEMORY, faults.CUT, "ok", trims=True),
    Trial(
        "ids forgotten once begun, one dispatcher",
        replace(_OUR_MEMORY, forgets=True),
        faults.LATE,
        "ok",
        trims=True,
    ),
    Trial("a lost write, strict", _STRICT_MEMORY, faults.LOST_WRITE, "ok", trims=True),
    Trial("Redis empty, strict", _STRICT_MEMORY, faults.EMPTY, "raised", trims=True),
)
TWO_DISPATCHERS = (
    Trial("no fault", CHOSEN, faults.SLOW, "ok", resends=True),
    Trial("late messages", CHOSEN, faults.LATE, "ok", resends=True),
    Trial("records are trimmed", _OUR_MEMORY, faults.SLOW, "ok", resends=True, trims=True),
    Trial(
        "the same, and ids are forgotten once begun",
        replace(_OUR_MEMORY, forgets=True),
        faults.SLOW,
        "X2 B2",
        resends=True,
        trims=True,
    ),
    Trial("a lost write, strict", STRICT, faults.LOST_WRITE_KILL, "ok", resends=True),
    Trial("Redis empty, strict", STRICT, faults.EMPTY_RESENT, "raised", resends=True),
    Trial(
        "the same, and a refused add is sent unsettled",
        replace(STRICT, when_refused="send"),
        faults.EMPTY_RESENT,
        "X2 raised",
        resends=True,
    ),
    Trial("random event id", replace(CHOSEN, event_id=False), faults.SLOW, "I2", resends=True),
)
DATA_LOSS = (
    Trial(
        "the epoch of the add's answer only",
        replace(STRICT, epoch="answered"),
        faults.EMPTY,
        "X2 raised",
    ),
    Trial("an add is sent once more", _RESENDING, faults.EMPTY, "raised"),
    Trial(
        "the same, and added anew where it is refused",
        replace(_RESENDING, when_refused="add"),
        faults.EMPTY,
        "X2 B2 raised",
    ),
    Trial(
        "an add that was never sent before is added anew",
        replace(STRICT, when_refused="add"),
        faults.EMPTY,
        "raised",
    ),
)
INNGEST_AWAY = (
    Trial("a row on disk", replace(_NO_ROW, inngest_away="outbox"), faults.BOTH_AWAY, "ok"),
    Trial(
        "a row on disk, Redis empty",
        replace(_NO_ROW, inngest_away="outbox"),
        faults.AWAY_EMPTY,
        "raised",
    ),
    Trial("the list", replace(_NO_ROW, inngest_away="list"), faults.BOTH_AWAY, "raised"),
    Trial(
        "the list, Redis empty",
        replace(_NO_ROW, inngest_away="list"),
        faults.AWAY_EMPTY,
        "LOST raised",
    ),
)
EXTENSIONS = {
    "delayed jobs": DELAYED,
    "records trimmed": TRIMMED,
    "two dispatchers with one id": TWO_DISPATCHERS,
    "Redis loses all data": DATA_LOSS,
    "Inngest away": INNGEST_AWAY,
}

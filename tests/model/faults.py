"""The sets of faults under which a protocol is checked: each fault so often, at any moment."""

from __future__ import annotations

from typing import NamedTuple

from tests.model.state import Faults


class FaultSet(NamedTuple):
    """Faults that may come together; *late*: requests may outlive their senders' patience."""

    name: str
    faults: Faults
    late: bool = True


SLOW = FaultSet("no fault (slow)", Faults(), late=False)
MESSAGES = FaultSet("msgs lost", Faults(message=2), late=False)
LATE = FaultSet("+ late", Faults(message=2))
CRASH = FaultSet("D crash", Faults(message=1, crash=1, retry=1))
KILL = FaultSet("W kill", Faults(message=1, kill=1))
STALL = FaultSet("W stall", Faults(message=1, stall=1))
CUT = FaultSet("cut off", Faults(message=1, cut=1, crash=1))
ALL = FaultSet("all", Faults(message=1, cut=1, crash=1, retry=1, kill=1, stall=1))
DAY = FaultSet("> 24 h", Faults(message=2, window=1))
LOST_WRITE = FaultSet("R loses write", Faults(lost_write=1, message=1))
LOST_WRITE_KILL = FaultSet("same + kill", Faults(lost_write=1, kill=1))
EMPTY = FaultSet("R empty", Faults(wipe=1, message=1))
EMPTY_KILL = FaultSet("R empty + kill", Faults(wipe=1, kill=1))

FAULT_SETS = (
    SLOW,
    MESSAGES,
    LATE,
    CRASH,
    KILL,
    STALL,
    CUT,
    ALL,
    DAY,
    LOST_WRITE,
    LOST_WRITE_KILL,
    EMPTY,
    EMPTY_KILL,
)

FAILURE = FaultSet("a run fails", Faults(message=1, failure=1, stall=1))
EMPTY_RESENT = FaultSet("R empty, all messages come", Faults(wipe=1))
BOTH_AWAY = FaultSet("both engines away", Faults(message=1, cut=1, away=1, crash=1))
AWAY_EMPTY = FaultSet("Inngest away, R empty", Faults(message=1, away=1, wipe=1))

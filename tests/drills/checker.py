"""Judge the history of a drill: which jobs were lost, ran twice, or went wrong untold.

Every drill is judged by this, and by the same words:

* lost: accepted, and never finished. One that was dropped as its policy says is not.
* both: begun on both engines.
* twice: begun twice on one engine, though no worker was killed while it ran the job.
* silent: its dispatch neither gave a receipt nor raised, though its process lived on.
* denied: told that it will not run, and it was begun.
* phantom: begun, and nobody had asked for it.
* stranded: still on record somewhere when all had time to end, accepted or not.

A job whose policy is to run again may be begun once more after each loss of data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.drills.history import (
    ACCEPTED,
    ASKED,
    FINISHED,
    KILLED,
    LEFT,
    RAISED,
    STARTED,
    WIPED,
    Entry,
)

FAULTS = ("lost", "both", "twice", "silent", "denied", "phantom", "stranded")


@dataclass(frozen=True)
class Verdict:
    """What came of all jobs. *faults* has no entry for what did not happen."""

    faults: dict[str, list[str]]
    counts: Counter[str]

    def __str__(self) -> str:
        told = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        wrong = "; ".join(f"{kind}: {len(jobs)} {jobs[:5]}" for kind, jobs in self.faults.items())
        return f"{wrong or 'no fault'} ({told})"


@dataclass
class _Life:
    """What is known of one job."""

    asked: bool = False
    asked_by: list[int] = field(default_factory=list)
    """Processes that have not told yet what came of it."""
    reruns: bool = False
    accepted: bool = False
    dropped: bool = False
    in_doubt: bool = False
    denied: bool = False
    finished: bool = False
    starts: list[tuple[str, int]] = field(default_factory=list)
    """The engine and the process of each start that nothing excuses another one of."""
    begun: bool = False
    left: bool = False
    may_rerun: int = 0
    """How often data was lost since it was asked for, where it is to run again then."""


def judge(entries: Iterable[Entry]) -> Verdict:
    """Judge a history."""
    lives: dict[str, _Life] = {}
    killed: set[int] = set()
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry.what] += 1
        if entry.what == KILLED:
            killed.add(entry.more["victim"])
            _excuse_killed(lives.values(), entry.more["victim"])
        elif entry.what == WIPED:
            for life in lives.values():
                life.may_rerun += life.reruns
        else:
            _live(lives.setdefault(entry.job, _Life()), entry)
            if entry.what == ACCEPTED:
                counts[f"on {entry.engine}"] += 1
    faults: dict[str, list[str]] = {}
    for job, life in lives.items():
        for kind in _faults(life, killed):
            faults.setdefault(kind, []).append(job)
    return Verdict(faults, counts)


def _live(life: _Life, entry: Entry) -> None:
    if entry.what == ASKED:
        life.asked_by.append(entry.by)
        life.asked = True
        life.reruns = entry.more.get("policy") == "rerun"
    elif entry.what == ACCEPTED:
        life.accepted = True
        life.dropped = entry.more.get("state") == "dropped"
        _answered(life, entry)
    elif entry.what == RAISED:
        life.in_doubt |= entry.more["doubt"]
        life.denied |= not entry.more["doubt"]
        _answered(life, entry)
    elif entry.what == STARTED:
        life.begun = True
        life.starts.append((entry.engine, entry.by))
    elif entry.what == FINISHED:
        life.finished = True
    elif entry.what == LEFT:
        life.left = True


def _answered(life: _Life, entry: Entry) -> None:
    if entry.by in life.asked_by:
        life.asked_by.remove(entry.by)


def _excuse_killed(lives: Iterable[_Life], victim: int) -> None:
    """Forgive the start of each job that a killed process ran: it has to be begun again."""
    for life in lives:
        if not life.finished:
            life.starts = [start for start in life.starts if start[1] != victim]


def _faults(life: _Life, killed: set[int]) -> list[str]:
    engines = Counter(engine for engine, _ in life.starts)
    is_excused = 0 < len(life.starts) <= 1 + life.may_rerun
    found = {
        "lost": life.accepted and not life.dropped and not life.finished,
        "both": len(engines) > 1 and not is_excused,
        "twice": max(engines.values(), default=0) > 1 and not is_excused,
        "silent": any(process not in killed for process in life.asked_by),
        "denied": life.denied and not (life.accepted or life.in_doubt) and life.begun,
        "phantom": life.begun and not life.asked,
        "stranded": life.left and not life.finished,
    }
    return [kind for kind in FAULTS if found[kind]]

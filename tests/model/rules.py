"""All that can happen, bound to one case: every function takes a state to the next, or to None."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from tests.model import data, dispatcher, inngest, network, recovery, worker
from tests.model.state import State
from tests.model.variant import Case

Act = Callable[[Case, int, State], State | None]
Event = Callable[[Case, State], State | None]


class Rule(NamedTuple):
    """One transition: *apply* gives the next state, or None where it is not possible."""

    name: str
    apply: Callable[[State], State | None]
    is_fault: bool


def rules_of(case: Case) -> list[Rule]:
    """Give every transition that the case knows."""
    dispatchers = range(2 if case.resends else 1)
    rules = [
        *_acts(case, dispatchers, "D", dispatcher.STEPS, dispatcher.FAULTS),
        *_acts(case, dispatchers, "D", network.STEPS, network.FAULTS),
        *_acts(case, dispatchers, "D", inngest.DISPATCHERS_STEPS, inngest.DISPATCHERS_FAULTS),
        *_acts(case, dispatchers, "D", recovery.RELAY_STEPS, recovery.RELAY_FAULTS),
        *_events(case, inngest.STEPS),
        *_events(case, recovery.STEPS, recovery.FAULTS),
        *_events(case, data.STEPS, data.FAULTS),
    ]
    if case.workers:
        rules += _acts(case, range(2), "W", worker.STEPS, worker.FAULTS)
        rules += _events(case, worker.EVERYBODYS_STEPS)
    return rules


def _acts(
    case: Case, actors: range, letter: str, steps: Iterable[Act], faults: Iterable[Act]
) -> list[Rule]:
    """Bind what each of *actors* can do, and what can befall it."""
    marked = [(act, False) for act in steps] + [(act, True) for act in faults]
    return [
        Rule(f"{letter}{who + 1} {act.__name__}", partial(act, case, who), is_fault)
        for act, is_fault in marked
        for who in actors
    ]


def _events(case: Case, steps: Iterable[Event], faults: Iterable[Event] = ()) -> list[Rule]:
    """Bind what happens to all."""
    marked = [(event, False) for event in steps] + [(event, True) for event in faults]
    return [Rule(event.__name__, partial(event, case), is_fault) for event, is_fault in marked]

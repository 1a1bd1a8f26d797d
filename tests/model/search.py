"""Walk every interleaving of a case, breadth first, and say what is wrong with which state."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

from tests.model.faults import FaultSet
from tests.model.rules import rules_of
from tests.model.state import ENDED, Dispatcher, State
from tests.model.variant import Case, Variant

_ENOUGH_STARTS = 2  # a state with more of them on one engine is not gone on from


class Flaw(StrEnum):
    """What can be wrong, in the order in which it is told."""

    LOST = "LOST"
    """dispatch() returned, and the job can never start."""
    VANISH = "VANISH"
    """The dispatcher crashed, the job was on its queue, and can no longer start."""
    STRAND = "STRAND"
    """The dispatcher crashed, and the job waits for a worker that nobody runs."""
    X2 = "X2"
    """The job started on both engines."""
    I2 = "I2"
    """The job started twice on Inngest."""
    B2 = "B2"
    """The job started twice on BullMQ, and no worker's death or stall explains it."""
    STUCK = "STUCK"
    """dispatch() can never return."""
    RAISED = "raised"
    """Nobody can know what ran, and that is said: no flaw, but what is left to a person."""


@dataclass(slots=True)
class Found:
    """Each flaw with the shortest way to it, and how many states were seen."""

    ways: dict[Flaw, tuple[str, ...]] = field(default_factory=dict)
    states: int = 0

    @property
    def flaws(self) -> frozenset[Flaw]:
        return frozenset(self.ways)

    def __str__(self) -> str:
        return " ".join(flaw for flaw in Flaw if flaw in self.ways) or "ok"

    def __add__(self, other: Found) -> Found:
        ways = dict(self.ways)
        for flaw, way in other.ways.items():
            if flaw not in ways or len(way) < len(ways[flaw]):
                ways[flaw] = way
        return Found(ways, self.states + other.states)


def check(
    variant: Variant,
    faults: FaultSet,
    *,
    delayed: bool = False,
    trims: bool = False,
    resends: bool = False,
) -> Found:
    """Check a variant under a set of faults, with workers and with none."""
    found = Found()
    for workers in (True, False):
        case = Case(
            variant=variant,
            workers=workers,
            late=faults.late,
            delayed=delayed,
            trims=trims,
            resends=resends,
        )
        found += Graph(case, faults).judged()
    return found


class Graph:
    """The states that a case can come to, by number, and how."""

    def __init__(self, case: Case, faults: FaultSet) -> None:
        epoch = 0 if case.variant.epoch == "remembered" else None
        dispatchers = (Dispatcher(epoch=epoch),) * (2 if case.resends else 1)
        self._case = case
        self._states = [State(dispatchers, faults.faults, due=not case.delayed)]
        self._came: list[tuple[int, str] | None] = [None]
        self._before: list[list[int]] = [[]]  # by steps that are no faults
        self._cut: set[int] = set()
        self._walk()

    def _walk(self) -> None:
        rules = rules_of(self._case)
        states, came, before = self._states, self._came, self._before
        numbers = {states[0]: 0}
        for number, state in enumerate(states):  # which grows meanwhile
            if max(state.on_bullmq, state.on_inngest) > _ENOUGH_STARTS:
                self._cut.add(number)
                continue
            for name, apply, is_fault in rules:
                after = apply(state)
                if after is None:
                    continue
                there = numbers.setdefault(after, len(states))
                if there == len(states):
                    states.append(after)
                    came.append((number, name))
                    before.append([])
                if not is_fault:
                    before[there].append(number)

    def judged(self) -> Found:
        """Give the flaws; states come in the order of their distance, so ways are shortest."""
        starting = self._leading_to(lambda s: s.on_bullmq > 0 or s.on_inngest > 0)
        returning = self._leading_to(_has_ended, self._cut)
        told = self._leading_to(_is_told)
        found = Found(states=len(self._states))
        for number, state in enumerate(self._states):
            flaws = _started_too_often(state)
            if number not in starting:
                flaws.append(self._never_starts(state, is_told=number in told))
            if number not in returning:
                flaws.append(Flaw.STUCK)
            if any(dispatcher.at == "raised" for dispatcher in state.dispatchers):
                flaws.append(Flaw.RAISED)
            for flaw in flaws:
                if flaw is not None and flaw not in found.ways:
                    found.ways[flaw] = self._way_to(number)
        return found

    def _leading_to(
        self, is_goal: Callable[[State], bool], also: Collection[int] = ()
    ) -> Collection[int]:
        """Give the states from which a goal can still be reached, with no more faults."""
        leading = {number for number, state in enumerate(self._states) if is_goal(state)}
        leading.update(also)
        todo = list(leading)
        while todo:
            for earlier in self._before[todo.pop()]:
                if earlier not in leading:
                    leading.add(earlier)
                    todo.append(earlier)
        return leading

    def _never_starts(self, state: State, *, is_told: bool) -> Flaw | None:
        """Name what it is that this state's job can start no more; None where nobody minds."""
        if any(dispatcher.accepted for dispatcher in state.dispatchers):
            return Flaw.RAISED if is_told else Flaw.LOST
        crashed = any(dispatcher.at == "crashed" for dispatcher in state.dispatchers)
        if not state.added or not crashed or not _has_ended(state):
            return None
        waits = state.record.place == "wait" and not self._case.workers
        return Flaw.STRAND if waits else Flaw.VANISH

    def _way_to(self, number: int) -> tuple[str, ...]:
        way = []
        step = self._came[number]
        while step is not None:
            way.append(step[1])
            step = self._came[step[0]]
        return tuple(reversed(way))


def _has_ended(state: State) -> bool:
    return all(dispatcher.at in ENDED for dispatcher in state.dispatchers)


def _is_told(state: State) -> bool:
    """Tell whether a person learns of the job: by its row, or by Inngest's function."""
    rows = any(dispatcher.row == "in doubt" for dispatcher in state.dispatchers)
    return rows or state.inngest == "in doubt"


def _started_too_often(state: State) -> list[Flaw | None]:
    flaws: list[Flaw | None] = []
    if state.on_bullmq and state.on_inngest:
        flaws.append(Flaw.X2)
    if state.on_inngest > 1:
        flaws.append(Flaw.I2)
    if state.on_bullmq > 1 and not state.redelivered:
        flaws.append(Flaw.B2)
    return flaws

"""Differences between clients that are known, named, and shown to be there by the matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.interop.cell import Cell, Run, Scenario


@dataclass(frozen=True)
class Difference:
    """What is not the same where it *applies*; *mend* takes it out of what Node leaves."""

    text: str
    applies: Callable[[Scenario, Cell], bool]
    mend: Callable[[Run], Run]


def _without_debounced(run: Run) -> Run:
    events = {
        queue: [event for event in told if event["event"] != "debounced"]
        for queue, told in run.events.items()
    }
    return replace(run, events=events)


DIFFERENCES = [
    Difference(
        "5.81 tells each deduplication twice, also as `debounced`; bullq tells `deduplicated` "
        "alone, as 6.x does",
        lambda scenario, cell: (
            cell.version == "5.81"
            and cell.hand == "bullq"
            and scenario.feature.startswith("deduplication")
            and scenario.feature != "deduplication key removed"
        ),
        _without_debounced,
    ),
]

DRAINED = (
    "a Node worker does not tell `drained` while delayed jobs are left, or a limit holds jobs "
    "back; a bullq worker tells it whenever nothing waits and nothing runs"
)


def known(scenario: Scenario, cell: Cell) -> list[Difference]:
    """Give the differences that a cell has."""
    return [one for one in DIFFERENCES if one.applies(scenario, cell)]

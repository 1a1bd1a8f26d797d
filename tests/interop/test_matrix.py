"""Every scenario on every pairing of clients leaves what Node and Node leave."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from tests.conftest import AppFactory
from tests.interop.cell import Cell, Run, Scenario, run_cell
from tests.interop.differences import known
from tests.interop.pairings import CELLS, NEWEST, is_tried, reference
from tests.interop.scenarios.listing import SCENARIOS
from tests.support.no_silent_skips import NODE, need

PATIENCE = 3.0
"""Seconds for a version to do what it is said not to do; it takes a tenth of one."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_every_pairing_leaves_what_node_and_node_leave(
    scenario: Scenario, node_processes: Any, prefix: str, make_app: AppFactory
) -> None:
    need(NODE)
    tried = [cell for cell in CELLS if is_tried(scenario, cell)]
    wanted = list({reference(scenario, cell) for cell in tried} | set(tried))
    found = await asyncio.gather(
        *(
            run_cell(scenario, cell, node_processes(cell.version), f"{prefix}c{number}x", make_app)
            for number, cell in enumerate(wanted)
        )
    )
    runs: dict[Cell, Run] = dict(zip(wanted, found, strict=True))
    told = [
        f"{cell}: {problem}"
        for cell in tried
        for problem in unexpected(scenario, cell, runs[cell], runs[reference(scenario, cell)])
    ]
    told += [
        f"{cell}, {queue}: bullq sees {run.by_bullq[queue][what]}, Node {seen[what]}"
        for cell, run in runs.items()
        for queue, seen in run.by_node.items()
        for what in seen
        if run.by_bullq[queue][what] != seen[what]
    ]
    assert not told, "\n".join(told)


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.wrong_in], ids=str)
async def test_what_versions_of_node_are_said_to_do_wrong_they_do(
    scenario: Scenario, node_processes: Any, prefix: str, make_app: AppFactory
) -> None:
    need(NODE)

    def run(version: str) -> Coroutine[Any, Any, Run]:
        own = f"{prefix}v{version.replace('.', '-')}"
        process = node_processes(version)
        return run_cell(scenario, Cell(version, "node", "node"), process, own, make_app)

    async def wrong(started: Coroutine[Any, Any, Run]) -> Run | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await started
        except TimeoutError:
            return None  # it waits for what never comes

    others = [run(version) for version in scenario.wrong_in]
    right, *found = await asyncio.gather(run(NEWEST), *(wrong(other) for other in others))
    for version, theirs in zip(scenario.wrong_in, found, strict=True):
        assert theirs is None or list(different(theirs, right)), f"{version} does it right"


def unexpected(scenario: Scenario, cell: Cell, run: Run, by_node: Run) -> Iterator[str]:
    """Say what differs and is not known to, and which known difference is no more."""
    for difference in known(scenario, cell):
        mended = difference.mend(by_node)
        if mended == by_node:
            yield f"no longer different: {difference.text}"
        by_node = mended
    yield from different(run, by_node)


def different(run: Run, expected: Run) -> Iterator[str]:
    """Say of each queue's events and of each key what is not as expected."""
    for queue, events in expected.events.items():
        ours, theirs = (Counter(map(repr, one)) for one in (run.events[queue], events))
        if ours != theirs:
            yield f"{queue}: events {dict(ours - theirs)} too many, {dict(theirs - ours)} missing"
        elif run.events[queue] != events:
            names = [[event["event"] for event in one] for one in (run.events[queue], events)]
            yield f"{queue}: events in the order {names[0]}, not {names[1]}"
    for key in sorted({*run.keys, *expected.keys}):
        yield from _different(key, run.keys.get(key), expected.keys.get(key))


def _different(key: str, ours: Any, theirs: Any) -> Iterator[str]:
    if ours == theirs:
        return
    if ours is None or theirs is None or ours[0] != "hash":
        yield f"{key}: {ours}, not {theirs}"
        return
    for field in sorted({*ours[2], *theirs[2]}):
        if ours[2].get(field) != theirs[2].get(field):
            yield f"{key}: {field}={ours[2].get(field)!r}, not {theirs[2].get(field)!r}"

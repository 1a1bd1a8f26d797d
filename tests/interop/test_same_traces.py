from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import AppFactory
from tests.interop.node_side import NodeSide
from tests.interop.scenario import SCENARIOS, Scenario, both_sides


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_a_bullq_worker_leaves_what_a_node_worker_leaves(
    scenario: Scenario, node: NodeSide, prefix: str, make_app: AppFactory
) -> None:
    by_node, by_bullq = await both_sides(scenario, node.process, prefix, make_app)
    assert comparable(by_bullq.events, scenario) == comparable(by_node.events, scenario)
    assert by_bullq.keys == by_node.keys


def comparable(events: list[dict[str, Any]], scenario: Scenario) -> list[dict[str, Any]]:
    """Give events without the times at which delayed jobs are due."""
    return [
        {key: "a moment" if key == "delay" else value for key, value in event.items()}
        for event in events
        if event["event"] != "drained" or scenario.tells_drained
    ]

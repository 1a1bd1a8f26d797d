from __future__ import annotations

from collections import Counter
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


async def test_many_jobs_side_by_side_leave_what_they_leave_in_node(
    node: NodeSide, prefix: str, make_app: AppFactory
) -> None:
    jobs = [({"failures": number % 3 == 0}, {"attempts": number % 2 + 1}) for number in range(60)]
    scenario = Scenario("side by side", jobs, count=50, concurrency=10)
    by_node, by_bullq = await both_sides(scenario, node.process, prefix, make_app)
    # Side by side, jobs end in another order each time, in Node as well.
    assert counted(by_bullq.events) == counted(by_node.events)
    assert by_bullq.keys == by_node.keys


def counted(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(event["event"] for event in events)


def comparable(events: list[dict[str, Any]], scenario: Scenario) -> list[dict[str, Any]]:
    """Give events without the times at which delayed jobs are due."""
    return [
        {key: "a moment" if key == "delay" else value for key, value in event.items()}
        for event in events
        if event["event"] != "drained" or scenario.tells_drained
    ]

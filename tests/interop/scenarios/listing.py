"""All scenarios, under the headings of docs/compatibility.md."""

from __future__ import annotations

from tests.interop.cell import Scenario
from tests.interop.scenarios.actions import ACTIONS, LIMITS
from tests.interop.scenarios.flows import FLOWS
from tests.interop.scenarios.jobs import DEDUPLICATION, JOBS
from tests.interop.scenarios.schedules import SCHEDULES

GROUPS: dict[str, list[Scenario]] = {
    "Jobs": JOBS,
    "Deduplication": DEDUPLICATION,
    "Flows": FLOWS,
    "Job schedulers": SCHEDULES,
    "Actions": ACTIONS,
    "Limits": LIMITS,
}

SCENARIOS = [scenario for group in GROUPS.values() for scenario in group]

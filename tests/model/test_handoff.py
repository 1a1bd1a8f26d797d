"""Check that the handoff's protocol holds where it has to, and that each of its parts is needed."""

from __future__ import annotations

import pytest

from tests.model import faults
from tests.model.faults import FAULT_SETS, FaultSet
from tests.model.search import check
from tests.model.trials import ABLATIONS, EXTENSIONS, Trial
from tests.model.variants import CHOSEN, PLAIN, STRICT

pytestmark = [pytest.mark.slow, pytest.mark.model]

# After a day Inngest has forgotten the id of an event that is sent again; a disk that forgets
# writes is what strict durability is for; what nobody can know is raised; and where Redis forgets
# everything just as the worker dies that had the job, nothing is left that could know.
_OPEN = {faults.DAY: "I2", faults.EMPTY: "raised", faults.EMPTY_KILL: "LOST raised"}
_OPEN_WITHOUT_BARRIER = _OPEN | {faults.LOST_WRITE: "X2 B2", faults.LOST_WRITE_KILL: "X2 B2"}


@pytest.mark.parametrize("fault_set", FAULT_SETS, ids=lambda faults: faults.name)
def test_our_protocol_holds(fault_set: FaultSet) -> None:
    assert str(check(CHOSEN, fault_set)) == _OPEN_WITHOUT_BARRIER.get(fault_set, "ok")


@pytest.mark.parametrize("fault_set", FAULT_SETS, ids=lambda faults: faults.name)
def test_our_strict_protocol_holds(fault_set: FaultSet) -> None:
    assert str(check(STRICT, fault_set)) == _OPEN.get(fault_set, "ok")


@pytest.mark.parametrize("trial", ABLATIONS, ids=lambda trial: trial.name)
def test_no_part_can_be_left_out(trial: Trial) -> None:
    assert str(trial.run()) == trial.expected


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param(trial, id=f"{name}: {trial.name}")
        for name, trials in EXTENSIONS.items()
        for trial in trials
    ],
)
def test_beyond_one_job_and_one_dispatcher(trial: Trial) -> None:
    assert str(trial.run()) == trial.expected


def test_the_shortest_way_to_a_flaw_is_told() -> None:
    way = check(PLAIN, faults.SLOW).ways
    assert list(way.values()) == [("D1 sends_add", "D1 add_is_answered", "D1 returns")]

"""Parents and children over three queues."""

from __future__ import annotations

from typing import Any

from tests.interop.branch import QUEUES, Branch
from tests.interop.cell import Act, Ends, Phase, Scenario
from tests.interop.scenarios.acts import FAILS, OK, adding, all_of, flowing, to_job

_CHILDREN = (
    Branch("default", "first", {"result": {"n": 1}}),
    Branch("data-sync", "second", {"result": [2]}),
)
_PARENT = Ends(queue="parents", id="parent")
_TOO_EARLY = dict.fromkeys(("5.81", "6.0"), "lets the parent go before its other children")
_UNATTACHED = dict.fromkeys(("5.81", "6.0"), "does not attach the child")


def _family(*children: Branch, **options: Any) -> Branch:
    return Branch("parents", "parent", {"result": "parent's"}, children, options=options)


def _only_child(on_failure: Any) -> Branch:
    return _family(Branch("default", "first", FAILS, on_failure=on_failure))


def _flow(
    feature: str, *acts: Act, ends: tuple[Ends, ...] = (_PARENT,), before: Any = (), **more: Any
) -> Scenario:
    phases = (*before, Phase(all_of(*acts), ends))
    return Scenario(feature, phases, queues=QUEUES, jobs_apart=True, **more)


FLOWS = [
    _flow("children on three queues", flowing(_family(*_CHILDREN))),
    _flow(
        "grandchildren",
        flowing(_family(Branch("default", "middle", {"result": "m"}, _CHILDREN[:1]), _CHILDREN[1])),
    ),
    _flow(
        "delayed and prioritised children, prioritised parent",
        flowing(
            _family(
                Branch("default", "first", OK, options={"delay": 0.05}),
                Branch("default", "second", OK, options={"priority": 3}),
                priority=2,
            )
        ),
        tells_drained=False,
    ),
    _flow("delayed parent", flowing(_family(*_CHILDREN, delay=0.05)), tells_drained=False),
    _flow(
        "child that is retried",
        flowing(_family(Branch("default", "first", {"failures": 1}, options={"attempts": 2}))),
        tells_drained=False,
    ),
    _flow(
        "failParentOnFailure",
        flowing(_only_child("fail")),
        ends=(Ends("failed", queue="parents"),),
    ),
    # A parent that continues does not wait for its other children, and which way it ends when
    # one of them is under way is a matter of moments, in Node as well.
    _flow("continueParentOnFailure", flowing(_only_child("continue"))),
    _flow(
        "ignoreDependencyOnFailure",
        flowing(_family(Branch("default", "first", FAILS, on_failure="ignore"), _CHILDREN[1])),
    ),
    _flow(
        "removeDependencyOnFailure",
        flowing(_family(Branch("default", "first", FAILS, on_failure="remove"), _CHILDREN[1])),
    ),
    _flow(
        "failed child retried by hand",
        to_job("retry", "failed", job="first"),
        before=(
            Phase(
                flowing(
                    _family(Branch("default", "first", {"failures": 1}, on_failure="wait")),
                ),
                (Ends("failed"),),
            ),
        ),
    ),
    _flow(
        "child that has completed before",
        flowing(_family(Branch("default", "job-1", OK), Branch("data-sync", "second", OK))),
        before=(Phase(adding((OK, {}))),),
        wrong_in=_TOO_EARLY,
    ),
    _flow(
        "child whose former parent is gone",
        flowing(Branch("parents", "former", {}, (Branch("default", "first", OK),))),
        to_job("remove_alone", queue="parents", job="former"),
        flowing(_family(Branch("default", "first", OK), Branch("data-sync", "second", OK))),
        wrong_in=_UNATTACHED,
    ),
    _flow(
        "child removed",
        flowing(_family(Branch("default", "first"))),
        to_job("remove", job="first"),
    ),
    _flow(
        "child taken from its parent",
        flowing(_family(Branch("default", "first"))),
        to_job("leave_parent", job="first"),
        ends=(_PARENT, Ends()),
    ),
]

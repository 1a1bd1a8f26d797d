"""One suite for every engine: what jobs may rely on, case by case.

Each engine's tests implement a Bench and run every case of `CASES` against it:

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    async def test_conformance(case: Case, bench: Bench) -> None:
        await case.check(bench)
"""

from bullq.testing.conformance import (  # noqa: F401 - each puts its cases on the list
    blocking,
    bodies,
    children,
    effects,
    events,
    failures,
    misuse,
    parallel,
    pauses,
    results,
    steps,
)
from bullq.testing.conformance.bench import Bench, Run, Session
from bullq.testing.conformance.kit import CASES, Case

__all__ = ["CASES", "Bench", "Case", "Run", "Session"]

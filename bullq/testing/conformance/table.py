"""The table of what holds on which engine, for people: one row per case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bullq.testing.conformance.kit import CASES, Case

if TYPE_CHECKING:
    from bullq.testing.conformance.bench import Bench


def table(benches: Sequence[type[Bench]]) -> str:
    """Write the cases as a page's table: 'yes' where an engine's tests hold a case, else why not.

    An engine whose bench lacks what a case needs is not asked, and the table names it.
    """
    lines = [
        f"| what holds | {' | '.join(bench.engine for bench in benches)} |",
        f"|---|{'|'.join('---' for _ in benches)}|",
    ]
    theme = ""
    for case in sorted(CASES, key=lambda one: _order(one.theme)):
        if case.theme != theme:
            theme = case.theme
            lines.append(f"| **{theme}** |{' |' * len(benches)}")
        cells = " | ".join(_cell(case, bench) for bench in benches)
        lines.append(f"| {case.summary} | {cells} |")
    return "\n".join(lines)


def _cell(case: Case, bench: type[Bench]) -> str:
    lacking = sorted(case.needs & bench.lacks)
    return f"no {', '.join(lacking)}" if lacking else "yes"


def _order(theme: str) -> int:
    return next(place for place, case in enumerate(CASES) if case.theme == theme)

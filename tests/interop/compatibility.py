"""Write the tables of docs/compatibility.md: `python -m tests.interop.compatibility`.

They say what the tests prove: each line is a scenario of the matrix, or a test of its own.
"""

from __future__ import annotations

from pathlib import Path

from tests.interop.cell import Cell, Scenario, Side
from tests.interop.differences import DRAINED, known
from tests.interop.pairings import CELLS, is_tried
from tests.interop.proofs import PROOFS
from tests.interop.scenarios.listing import GROUPS

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = (
    "<!-- written by: python -m tests.interop.compatibility -->\n",
    "<!-- end of what is generated -->\n",
)

_COLUMNS: tuple[tuple[str, Side, Side], ...] = (
    ("added by Node, run by bullq", "node", "bullq"),
    ("added by bullq, run by Node", "bullq", "node"),
    ("bullq alone", "bullq", "bullq"),
)


class _Notes:
    """The notes below a table, numbered in the order in which they are first needed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> str:
        """Give the mark of a note."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


def tables() -> str:
    """Give all that is generated, as Markdown."""
    notes = _Notes()
    lines: list[str] = []
    for group, scenarios in GROUPS.items():
        lines += [f"| {group} | {' | '.join(title for title, _, _ in _COLUMNS)} |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [_row(scenario, notes) for scenario in scenarios]
        lines += [""]
    lines += [f"{number}. {text}." for number, text in enumerate(notes.texts, start=1)]
    lines += ["", "Looked at one by one, by tests of their own:", "", "| | what holds | versions |"]
    lines += ["| --- | --- | --- |"]
    lines += [f"| {proof.feature} | {proof.holds} | {proof.versions} |" for proof in PROOFS]
    return "\n".join(lines) + "\n"


def _row(scenario: Scenario, notes: _Notes) -> str:
    cells = []
    for _, hand, worker in _COLUMNS:
        here = [cell for cell in CELLS if (cell.hand, cell.worker) == (hand, worker)]
        cells.append(_cell(scenario, here, notes))
    return f"| {scenario.feature} | {' | '.join(cells)} |"


def _cell(scenario: Scenario, cells: list[Cell], notes: _Notes) -> str:
    """Say in which versions it is the same, and what is to be noted."""
    tried = [cell.version for cell in cells if is_tried(scenario, cell)]
    marks = {notes.number(one.text) for cell in cells for one in known(scenario, cell)}
    for version, what in scenario.wrong_in.items():
        if any(cell.version == version and not is_tried(scenario, cell) for cell in cells):
            marks.add(
                notes.number(f"Not in {' and '.join(scenario.wrong_in)}: such a client {what}")
            )
    works = any(phase.ends for phase in scenario.phases)
    if works and not scenario.tells_drained and any(cell.worker == "bullq" for cell in cells):
        marks.add(notes.number(DRAINED))
    everywhere = len(tried) == len(cells)
    same = "same" if everywhere else f"same: {', '.join(tried)}"
    return " ".join([same, *sorted(marks)])


def written(document: str) -> str:
    """Give the document with what is generated brought up to date."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT} has lost the marks between which the tables are")
    return f"{before}{begin}\n{tables()}\n{end}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")

"""Which clients are paired, in which versions, and what each pairing is compared with."""

from __future__ import annotations

from tests.interop.cell import Cell, Scenario

PACKAGES = {"6.7": "bullmq", "6.0": "bullmq60", "5.81": "bullmq5"}
"""The versions of BullMQ that tests run, and the names they are installed under."""

NEWEST = "6.7"

CELLS = [
    *(Cell(version, "node", "bullq") for version in PACKAGES),
    *(Cell(version, "bullq", "node") for version in PACKAGES),
    Cell(NEWEST, "bullq", "bullq"),
]


def is_tried(scenario: Scenario, cell: Cell) -> bool:
    """Leave out what Node's own client does wrong."""
    return cell.hand == "bullq" or cell.version not in scenario.wrong_in


def reference(scenario: Scenario, cell: Cell) -> Cell:
    """Give the cell of Node alone to compare with: of the same version, where that is right."""
    version = NEWEST if cell.version in scenario.wrong_in else cell.version
    return Cell(version, "node", "node")

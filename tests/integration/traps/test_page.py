"""docs/reliability.md names tests that exist, and each test of a case is in it by its case."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TESTS = {
    name
    for file in (ROOT / "tests" / "integration").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))
}


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named - TESTS == set()
    assert len(named) > 30


def test_every_case_that_has_a_test_is_on_the_page() -> None:
    cases = {re.match(r"test_([wp])(\d\d)_", name) for name in TESTS}
    numbers = {f"{case[1].upper()}{int(case[2])}" for case in cases if case}
    assert {number for number in numbers if f"| {number} |" not in PAGE} == set()

"""The page about engines tells what their tests hold, case by case."""

from __future__ import annotations

from collections import Counter

from bullq.testing.conformance import CASES
from tests.conformance.page import BENCHES, PAGE, written


def test_the_table_is_the_one_that_the_cases_give() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "write it anew: python -m tests.conformance.page"


def test_the_suite_is_as_large_as_it_is_said_to_be() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"{len(CASES)} cases" in page
    assert len(CASES) >= 60


def test_every_case_has_a_name_and_a_sentence_of_its_own() -> None:
    for told in ("name", "summary"):
        counts = Counter(getattr(case, told) for case in CASES)
        assert {one: count for one, count in counts.items() if count > 1} == {}
    assert [case.name for case in CASES if not case.summary.endswith(".")] == []


def test_no_engine_lacks_what_no_case_needs() -> None:
    needed = frozenset().union(*(case.needs for case in CASES))
    assert {bench.engine: bench.lacks - needed for bench in BENCHES if bench.lacks - needed} == {}

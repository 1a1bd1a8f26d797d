"""The official client's own tests of workers pass with bullq's in the place of theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.official.suite import compare
from tests.support.no_silent_skips import OFFICIAL_CHECKOUT, need

pytestmark = pytest.mark.slow


def test_the_official_tests_pass_with_the_drop_in_worker() -> None:
    need(OFFICIAL_CHECKOUT)
    found = compare(Path(os.environ["BULLQ_TEST_OFFICIAL_CHECKOUT"]))
    assert found.broken == {}, found.table()
    assert sum(len(outcome.passed) for outcome in found.drop_in.values()) > 100, found.table()

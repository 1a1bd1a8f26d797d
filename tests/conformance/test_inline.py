"""The inline engine keeps what every engine keeps."""

from __future__ import annotations

import pytest

from bullq.testing.conformance import CASES, Case
from tests.conformance.inline_bench import InlineBench


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_inline(case: Case) -> None:
    await case.check(InlineBench())

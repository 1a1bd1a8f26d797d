"""docs/compatibility.md says what the tests prove, no more and no less."""

from __future__ import annotations

import re

import pytest

from tests.interop.compatibility import DOCUMENT, written
from tests.interop.proofs import PROOFS, Proof

HERE = DOCUMENT.parents[1] / "tests" / "interop"


def test_the_tables_are_up_to_date() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert written(document) == document, "run 'python -m tests.interop.compatibility'"


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.feature)
def test_what_is_said_to_be_proven_has_a_test(proof: Proof) -> None:
    file, _, name = proof.test.partition("::")
    assert re.search(rf"^async def {name}\(", (HERE / file).read_text(), re.MULTILINE)


def test_every_known_defect_of_the_python_client_is_listed() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \|", document, re.MULTILINE)
    assert listed == [str(number) for number in range(1, len(listed) + 1)]
    assert len(listed) >= 20

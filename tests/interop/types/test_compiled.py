"""TypeScript accepts and refuses with the written types what Python does with its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bullq.contract.schema import contract_schema
from bullq.contract.typescript import to_typescript
from bullq.jobs.discovery import discover
from tests.interop.types.compiler import Complaint, compile_all
from tests.support.no_silent_skips import NODE, NODE_CLIENTS, SHOP_NODE, need

HERE = Path(__file__).parent
PROGRAMS = ["accepted.ts", "refused.ts"]
VERSIONS = ["bullmq", "bullmq5"]


@pytest.fixture(scope="module", params=VERSIONS)
def complaints(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Complaint]:
    need(NODE, SHOP_NODE)
    folder = tmp_path_factory.mktemp("types")
    for program in PROGRAMS:
        shutil.copy(HERE / program, folder)
    contract = contract_schema(discover("tests.interop.types.all_kinds"))
    (folder / "jobs.ts").write_text(to_typescript(contract), encoding="utf-8")
    return compile_all(folder, bullmq=NODE_CLIENTS.with_name(request.param))


def test_what_fits_is_accepted_under_strict(complaints: list[Complaint]) -> None:
    assert [one for one in complaints if one.file != "refused.ts"] == []


def test_exactly_the_seeded_mistakes_are_refused(complaints: list[Complaint]) -> None:
    lines = (HERE / "refused.ts").read_text(encoding="utf-8").splitlines()
    seeded = {
        number: match[1]
        for number, text in enumerate(lines, 1)
        if (match := re.search(r"// wrong (TS\d+)$", text))
    }
    assert len(seeded) >= 25
    found = {one.line: one.code for one in complaints if one.file == "refused.ts"}
    assert found == seeded

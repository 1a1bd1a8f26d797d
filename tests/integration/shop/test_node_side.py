"""The shop's Node side: compiled by Python's types, and run with Python, each for the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bullq.contract.schema import contract_schema
from bullq.contract.typescript import to_typescript
from bullq.jobs.discovery import discover
from tests.interop.types.compiler import NODE_SIDE, compile_all
from tests.support.commands import BULLQ
from tests.support.deadline import DEADLINE
from tests.support.no_silent_skips import SHOP_NODE, need

ROOT = Path(__file__).parents[3]
WRITTEN = NODE_SIDE / "src" / "jobs.ts"


def test_the_written_types_are_up_to_date() -> None:
    contract = contract_schema(discover("examples.shop.jobs"))
    assert WRITTEN.read_text(encoding="utf-8") == to_typescript(contract)


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the example that a test may change."""
    need(SHOP_NODE)
    ignore = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignore)
    return tmp_path


def complaints_after(folder: Path, service: str, before: str, after: str) -> list[str]:
    """Change a service in the copy, write the types anew, and compile the Node side."""
    file = folder / "examples" / "shop" / "jobs" / service
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, after), encoding="utf-8")
    types = folder / "examples" / "shop" / "node" / "src" / "jobs.ts"
    environment = {**os.environ, "BULLQ_APP": "examples.shop.jobs", "PYTHONPATH": str(folder)}
    subprocess.run(
        [BULLQ, "types", "--out", types], check=True, cwd=folder, env=environment, timeout=DEADLINE
    )
    return [f"{one.file}: {one.message}" for one in compile_all(types.parents[1])]


def test_a_changed_payload_does_not_compile(changed: Path) -> None:
    [producer] = complaints_after(
        changed, "default/send_receipt_service.py", "    email: str", "    address: str"
    )
    assert producer.startswith("src/checkout.ts: ")
    assert "'email' does not exist in type 'Order'" in producer


def test_a_changed_result_does_not_compile(changed: Path) -> None:
    [worker] = complaints_after(
        changed, "storefront/refresh_page_service.py", "    etag: str", "    etag: int"
    )
    assert worker.startswith("src/storefront.ts: ")
    assert "Type 'string' is not assignable to type 'number'" in worker


def test_both_sides_run_what_the_other_dispatches(tmp_path: Path) -> None:
    need(SHOP_NODE)
    compiled = subprocess.run(
        ["node_modules/.bin/tsc"],
        check=False,
        cwd=NODE_SIDE,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert compiled.returncode == 0, compiled.stdout
    done = subprocess.run(
        [sys.executable, "-m", "examples.shop.demo.with_node"],
        check=False,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Node dispatches to Python:",
        "  paid 49.9 EUR: pay-8",
        "  receipt sent: <receipt-8@shop.example>",
        "Python dispatches to Node:",
        "  page refreshed: /de/lamp-7, 31 bytes, etag 63493a15e25e",
        "Both sides are stopped.",
    ]
    assert list(tmp_path.iterdir()) == []

"""The TypeScript in the documentation compiles with the types that it speaks of."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pydantic import BaseModel

from bullq import job
from bullq.contract.schema import contract_schema
from bullq.contract.typescript import to_typescript
from tests.interop.types.compiler import NODE_SIDE, compile_all
from tests.support.no_silent_skips import SHOP_NODE, need

DOCS = Path(__file__).parents[3] / "docs"


class Hello(BaseModel):
    name: str = "world"


@job(queue="default")
def hello(data: Hello) -> str:
    return data.name


def example(page: str) -> str:
    """Give the one block of TypeScript that a page has."""
    [block] = re.findall(r"```ts\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


def test_the_command_line_s_example_compiles(tmp_path: Path) -> None:
    need(SHOP_NODE)
    (tmp_path / "jobs.ts").write_text(to_typescript(contract_schema([hello])), encoding="utf-8")
    given = 'const options = { connection: { url: "redis://127.0.0.1" } };\n'
    (tmp_path / "example.ts").write_text(given + example("cli.md"), encoding="utf-8")
    assert compile_all(tmp_path) == []


def test_the_shop_s_example_compiles(tmp_path: Path) -> None:
    need(SHOP_NODE)
    for file in ("jobs.ts", "queues.ts"):
        shutil.copy(NODE_SIDE / "src" / file, tmp_path)
    given = """\
import type { Payment } from "./jobs.js";
import { openEvents, openQueue, work } from "./queues.js";
const [card, bytes, etag, deadline, events] = ["4242", 1, "e", 10, openEvents("default")];
"""
    same = "export const paid: Payment = payment;\n"
    (tmp_path / "example.ts").write_text(given + example("example.md") + same, encoding="utf-8")
    assert compile_all(tmp_path) == []

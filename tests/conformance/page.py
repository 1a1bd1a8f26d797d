"""Write the table of engines and cases into docs/engines.md: python -m tests.conformance.page."""

from __future__ import annotations

from pathlib import Path

from bullq.testing.conformance.table import table
from tests.conformance.bullmq_bench import BullmqBench
from tests.conformance.inline_bench import InlineBench
from tests.conformance.inngest_bench import InngestBench

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
BEGIN, END = "<!-- cases: begin -->\n", "\n<!-- cases: end -->"
BENCHES = (BullmqBench, InngestBench, InlineBench)


def written(page: str) -> str:
    """Give the page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table(BENCHES)}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

from __future__ import annotations

import subprocess
import sys

from tests.support.deadline import DEADLINE

HEAVY = ("httpx", "inngest", "rich", "click", "structlog", "prometheus_client")


def test_bullq_alone_loads_nothing_heavy() -> None:
    """A worker holds for good what it loads: 8 MB for an HTTP client that it may never need."""
    code = f"import sys, bullq; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    assert done.stdout == "[]\n"

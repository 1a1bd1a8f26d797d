"""Count the jobs that a worker has run, and tell how fast it was, from inside its process."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

SETTLING = 0.1
"""Which part of a run is left out at either end: a worker that starts, and one that runs dry."""


def tell(answer: dict[str, Any]) -> None:
    """Give one line to whoever has started this process."""
    os.write(1, f"RESULT {json.dumps(answer)}\n".encode())


def memory_mb() -> float:
    """Give how much memory this process holds now, in MB; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - old Pythons, too
            pages = int(file.read().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Meter:
    """Counts up to *jobs*, then tells the rate, or how late each job began, and ends the process.

    A process ends here so that no system has to be able to stop in order; every one of them calls
    hit() in the job, where all are equal.
    """

    def __init__(self, jobs: int, pause: float = 0.0) -> None:
        self.pause = pause
        self._jobs = jobs
        self._first = max(1, int(jobs * SETTLING))
        self._last = max(self._first + 1, jobs - int(jobs * SETTLING))
        self._count = 0
        self._began = 0.0
        self._rate = 0.0
        self._late_ms: list[float] = []
        self._lock = threading.Lock()

    def hit(self, data: dict[str, Any]) -> None:
        """Count one job."""
        now = time.monotonic_ns()
        with self._lock:
            self._count += 1
            count = self._count
            if sent := data.get("sent"):
                self._late_ms.append((now - sent) / 1e6)
        if count == self._first:
            self._began = now / 1e9
        elif count == self._last:
            self._rate = (self._last - self._first) / (now / 1e9 - self._began)
        if count == 1 and data.get("ready"):
            tell({"ready": True})
        if count == self._jobs:
            self._finish()

    def _finish(self) -> None:
        tell({"rate": self._rate, "late_ms": self._late_ms, "memory_mb": memory_mb()})
        os._exit(0)

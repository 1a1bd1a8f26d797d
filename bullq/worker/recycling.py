"""Tell when a worker process has done its share: so many jobs, or so much memory."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bullq.telemetry.hooks import JobEvent, Observer

_LOOK = 0.25  # seconds between looks at the memory


class Recycling(Observer):
    """Calls *on_due* once: after *max_jobs* attempts, or at *max_memory* bytes; None: no bound.

    The memory is that of this process alone, looked at when jobs end.
    """

    def __init__(
        self, on_due: Callable[[], None], *, max_jobs: int | None, max_memory: int | None
    ) -> None:
        self.is_due = False
        """Whether the process has done its share."""
        self.is_bounded = max_jobs is not None or max_memory is not None
        """Whether it ever can be."""
        self._on_due = on_due
        self._max_jobs = max_jobs
        self._max_memory = max_memory
        self._jobs = 0
        self._looked_at = 0.0

    def job_completed(self, job: JobEvent) -> None:  # noqa: ARG002 - it counts, whichever it is
        """Count an attempt."""
        self._count()

    def job_failed(self, job: JobEvent, reason: str) -> None:  # noqa: ARG002 - same
        """Count an attempt."""
        self._count()

    def job_retried(self, job: JobEvent, reason: str, delay_ms: int) -> None:  # noqa: ARG002 - same
        """Count an attempt."""
        self._count()

    def _count(self) -> None:
        self._jobs += 1
        if not self.is_due and (self._is_enough() or self._is_too_big()):
            self.is_due = True
            self._on_due()

    def _is_enough(self) -> bool:
        return self._max_jobs is not None and self._jobs >= self._max_jobs

    def _is_too_big(self) -> bool:
        if self._max_memory is None or time.monotonic() < self._looked_at + _LOOK:
            return False
        self._looked_at = time.monotonic()
        return memory_used() > self._max_memory


def memory_used() -> int:
    """Give the bytes of memory this process has; at most so far, where only that is known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

"""The heartbeat file of a process: as old as the last answer to the worker that waits longest."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_INTERVAL = 1.0  # seconds between two touches of the file


class Heartbeat:
    """Keeps the file of all workers of a process: one that is deaf makes the whole look old."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._beats: dict[object, float] = {}  # seconds since the epoch
        self._touched = 0.0

    def join(self, worker: object) -> None:
        """Count a worker in, as if Redis had just answered it."""
        self._beats[worker] = time.time()

    def leave(self, worker: object) -> None:
        """Count a worker out that has ended."""
        self._beats.pop(worker, None)

    def beat(self, worker: object) -> None:
        """Note that Redis has answered a worker, and touch the file once a second at most."""
        self._beats[worker] = now = time.time()
        if 0 <= now - self._touched < _INTERVAL:
            return
        self._touched = now
        oldest = min(self._beats.values())
        with contextlib.suppress(OSError):  # a full or read-only disk must not end a worker
            self._file.touch()
            os.utime(self._file, (oldest, oldest))

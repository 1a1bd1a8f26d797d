"""Notice, from a thread, that a job blocks the event loop, and say which one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bullq.telemetry.hooks import JobEvent, Observer

THRESHOLD = 1.0
"""Seconds without an answer after which the loop counts as blocked."""

_PAUSE = 0.5  # seconds between pings


class LoopWatch:
    """Pings the event loop and tells `loop_blocked` once per block, while it lasts.

    It is told from the thread: a loop that is blocked for good could never tell it. *job_of*
    gives the job that a task runs, and None for a task that is no job.
    """

    def __init__(
        self,
        queue: str,
        observer: Observer,
        job_of: Callable[[asyncio.Task[Any]], JobEvent | None],
    ) -> None:
        self._queue = queue
        self._observer = observer
        self._job_of = job_of
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._answered = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"bullq loop watch of {queue}", daemon=True
        )

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()

    def _run(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            while not self._stopping.wait(_PAUSE):
                self._ping()

    def _ping(self) -> None:
        self._answered.clear()
        asked_at = time.monotonic()
        self._loop.call_soon_threadsafe(self._answered.set)
        if self._answered.wait(THRESHOLD) or self._stopping.is_set():
            return
        lag_ms = (time.monotonic() - asked_at) * 1000
        self._observer.loop_blocked(self._queue, lag_ms, self._culprit())
        while not self._answered.wait(_PAUSE):
            if self._stopping.is_set() or self._loop.is_closed():
                return

    def _culprit(self) -> JobEvent | None:
        """Give the job whose task the loop runs now."""
        task = asyncio.current_task(self._loop)
        return None if task is None else self._job_of(task)

"""Run coroutines for code without an event loop: one loop in a thread, for the whole process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_CLOSE_DEADLINE = 5.0  # seconds to end the loop
_CANCEL_DEADLINE = 2.0  # seconds of them for what is cancelled


class BackgroundLoop:
    """An event loop in a daemon thread, for callers without one; a new one after a fork."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def run(self, call: Callable[[], Any]) -> Any:
        """Run the coroutine that *call* makes, and wait for its result."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(call(), self._started()).result()
        raise RuntimeError(
            "dispatch_sync and result_sync would block this thread's event loop; "
            "await dispatch() and result() here"
        )

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="bullq dispatch_sync", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self, close_connections: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End the loop, and its thread, once *close_connections* has run on it.

        Whoever waits for something on it yet is told that it was cancelled.
        """
        with self._guard:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        try:
            asyncio.run_coroutine_threadsafe(close_connections(), loop).result(_CLOSE_DEADLINE)
        finally:
            asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(_CLOSE_DEADLINE)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_CLOSE_DEADLINE)
            loop.close()


async def _cancel_others() -> None:
    """Cancel what runs on this loop, and wait until it has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    if others:
        await asyncio.wait(others, timeout=_CANCEL_DEADLINE)

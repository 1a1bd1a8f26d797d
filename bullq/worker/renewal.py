"""Keep the locks of running jobs alive, from a thread of its own with its own connection.

A job that blocks the event loop cannot lose its lock, or any other job's, that way.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bullq.clock import to_ms
from bullq.errors import StoreUnavailable
from bullq.store.scripts import LockScripts
from bullq.telemetry.hooks import hears

if TYPE_CHECKING:
    from bullq.clock import Duration
    from bullq.queues.queue import JobQueue
    from bullq.telemetry.hooks import Observer

_RETRY_PAUSE = 0.25  # seconds after a renewal that Redis did not answer


class Renewal:
    """Renews the locks of held jobs and tells which ones are lost.

    It does so *every* so often, at half of their duration where that is None.
    """

    def __init__(
        self,
        queue: JobQueue,
        on_lost: Callable[[str], None],
        observer: Observer,
        every: Duration | None = None,
    ) -> None:
        self._queue = queue
        self._on_lost = on_lost
        self._observer = observer
        self._in_trouble = False
        self._tells_renewals = hears(observer, "locks_renewed")
        self._duration_ms = queue.spec.lock_duration_ms
        self._pause = (self._duration_ms / 2 if every is None else to_ms(every)) / 1000
        self._held: dict[str, str] = {}  # token -> job id
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, name=f"bullq locks of {queue.spec.name}", daemon=True
        )

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; a renewal under way is not waited for."""
        self._stopping.set()

    def hold(self, job_id: str, token: str) -> None:
        """Keep this lock alive from now on."""
        with self._guard:
            self._held[token] = job_id

    def release(self, token: str) -> None:
        """Let go of a lock."""
        with self._guard:
            self._held.pop(token, None)

    def _run(self) -> None:
        client = self._queue.store.thread_client()
        scripts = LockScripts(client, self._queue.keys)
        pause = self._pause
        try:
            while not self._stopping.wait(pause):
                pause = self._pause if self._renew(scripts) else min(self._pause, _RETRY_PAUSE)
        finally:
            client.close()

    def _renew(self, scripts: LockScripts) -> bool:
        """Renew all held locks; tell whether Redis answered."""
        with self._guard:
            held = dict(self._held)
        if not held:
            return True
        # A job that was lost and then claimed again here is held twice until its first attempt
        # has ended. The script tells jobs, not tokens, so it is asked for the newest of each.
        newest = {job_id: token for token, job_id in held.items()}
        try:
            with self._queue.store.errors():
                lost = set(
                    scripts.extend_locks({newest[one]: one for one in newest}, self._duration_ms)
                )
        except StoreUnavailable:
            return False
        except Exception as error:  # noqa: BLE001 - this thread is all that keeps the locks
            self._tell_trouble(error)
            return False
        self._in_trouble = False
        tokens = [
            token for token, job_id in held.items() if job_id in lost or token != newest[job_id]
        ]
        if tokens and not self._stopping.is_set():
            self._on_loop(self._tell, tokens)
        if self._tells_renewals:
            kept = [one for one in newest if one not in lost]
            self._on_loop(self._observer.locks_renewed, self._queue.spec.name, kept)
        return True

    def _on_loop(self, tell: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is there to be told
            self._loop.call_soon_threadsafe(tell, *arguments)

    def _tell_trouble(self, error: Exception) -> None:
        """Tell it once, until a renewal succeeds again."""
        if not self._in_trouble and not self._stopping.is_set():
            message = "the locks of running jobs cannot be renewed"
            self._on_loop(self._observer.trouble, self._queue.spec.name, message, error)
        self._in_trouble = True

    def _tell(self, tokens: list[str]) -> None:
        for token in tokens:
            with self._guard:
                held = token in self._held
            if held:  # otherwise it was settled while the renewal was under way
                self._on_lost(token)

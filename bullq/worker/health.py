"""Whether a worker makes progress: the time of the last answer Redis gave it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from bullq.clock import format_ms
from bullq.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from bullq.store.connection import Store
    from bullq.telemetry.hooks import Observer

_FILE_INTERVAL = 1.0  # seconds
_PULSE, _SHORTEST_PULSE = 5.0, 0.05  # seconds


class Health:
    """The progress clock of one worker. Being up is not progress: an answer from Redis is."""

    def __init__(
        self,
        queue: str,
        observer: Observer,
        heartbeat_file: Path | None = None,
        max_outage_ms: int = 300_000,
    ) -> None:
        self._queue = queue
        self._max_outage_ms = max_outage_ms
        self._observer = observer
        self._file = heartbeat_file
        self._last_answer = time.monotonic()
        self._last_touch = 0.0
        self._lost_at: float | None = None

    @property
    def silent_for(self) -> float:
        """Seconds since Redis last answered."""
        return time.monotonic() - self._last_answer

    @property
    def is_lost(self) -> bool:
        """Whether Redis has failed to answer since it last did."""
        return self._lost_at is not None

    def answered(self) -> None:
        """Note that Redis has answered."""
        now = self._last_answer = time.monotonic()
        if self._lost_at is not None:
            self._observer.redis_back(self._queue, round((now - self._lost_at) * 1000))
            self._lost_at = None
        if self._file is not None and now - self._last_touch >= _FILE_INTERVAL:
            self._last_touch = now
            with contextlib.suppress(OSError):  # a full or read-only disk must not end a worker
                self._file.touch()

    async def pulse(self, store: Store) -> None:
        """Ask Redis for a sign of life, for ever, whenever nothing else has asked for a while.

        A worker whose slots are all taken by long jobs has nothing else to ask for. Raises
        StoreUnavailable once the outage has lasted too long: whatever is wrong, a new process,
        perhaps on another machine, has more ways to find Redis than this one.
        """
        pause = min(_PULSE, max(self._max_outage_ms / 4000, _SHORTEST_PULSE))
        while True:
            await asyncio.sleep(pause)
            if self.silent_for < pause:
                continue
            try:
                await store.check()
            except StoreUnavailable as error:
                self.failed(error)
                self._give_up_in_time(error)
            else:
                self.answered()

    def _give_up_in_time(self, error: StoreUnavailable) -> None:
        silent_ms = self.silent_for * 1000
        if silent_ms >= self._max_outage_ms:
            raise StoreUnavailable(
                f"Redis has not answered for {format_ms(silent_ms)}, so the worker ends and has to "
                f"be started anew. {error}"
            ) from error

    def failed(self, error: Exception) -> None:
        """Note that Redis has not answered; tell it once per outage."""
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self._observer.redis_lost(self._queue, str(error))

"""Whether a worker makes progress: the time of the last answer to the calls that fetch jobs."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bullq.telemetry.hooks import Observer
    from bullq.worker.heartbeat import Heartbeat


class Part(enum.Enum):
    """What can lose Redis by itself, having a connection of its own."""

    FETCH = "fetch"
    LISTENING = "listening"


class Health:
    """The progress clock of one worker. Being up is not progress, nor is an answer elsewhere.

    Only answers to the fetch move the clock. Listening for the marker need not: a worker that
    cannot listen asks the queue all the same, and one that is stuck while it listens asks no more.
    """

    def __init__(self, queue: str, observer: Observer, heartbeat: Heartbeat | None = None) -> None:
        self._queue = queue
        self._observer = observer
        self._heartbeat = heartbeat
        self._last_answer = time.monotonic()
        self._failing: set[Part] = set()
        self._lost_at = 0.0

    @property
    def silent_for(self) -> float:
        """Seconds since Redis last answered a fetch."""
        return time.monotonic() - self._last_answer

    @property
    def last_answer(self) -> float:
        """When Redis last answered a fetch, by the monotonic clock."""
        return self._last_answer

    @property
    def is_lost(self) -> bool:
        """Whether Redis has failed to answer since it last did."""
        return bool(self._failing)

    def begin(self) -> None:
        """Start the clock."""
        self._last_answer = time.monotonic()
        if self._heartbeat is not None:
            self._heartbeat.join(self)

    def end(self) -> None:
        """Leave the heartbeat to the other workers of the process."""
        if self._heartbeat is not None:
            self._heartbeat.leave(self)

    def answered(self, part: Part = Part.FETCH) -> None:
        """Note that Redis has answered."""
        if part is Part.FETCH:
            self._last_answer = time.monotonic()
            if self._heartbeat is not None:
                self._heartbeat.beat(self)
        if self._failing:
            self._failing.discard(part)
            if not self._failing:
                outage_ms = round((time.monotonic() - self._lost_at) * 1000)
                self._observer.redis_back(self._queue, outage_ms)

    def failed(self, error: Exception, part: Part = Part.FETCH) -> None:
        """Note that Redis has not answered; tell it once per outage."""
        if not self._failing:
            self._lost_at = time.monotonic()
            self._observer.redis_lost(self._queue, str(error))
        self._failing.add(part)

"""Bound how many jobs a second may fall back: one engine's outage must not become the other's."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Lets *rate* jobs a second pass, and as many as come in *burst* seconds at once."""

    def __init__(
        self, rate: float, *, burst: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._most = rate * burst
        self._clock = clock
        self._tokens = self._most
        self._at = clock()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

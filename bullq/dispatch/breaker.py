"""Spare an engine that has failed: ask it no more for a while, then carefully again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import StrEnum

_UNKNOWN_TO_OPEN = 3  # calls in a row without an answer
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 15.0  # seconds; each pause is twice as long as the one before
_JITTER = 0.3  # of a pause, so that processes do not come back at the same moment
_CANARY_TIME = 5.0  # seconds after which a canary of which nothing was heard counts as lost
_RAMP = 3.0  # seconds until all calls pass again
_RAMP_START = 0.1  # the share of calls that pass at first


class BreakerState(StrEnum):
    """What a breaker lets pass: all calls, none, one to try, more and more of them."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    RAMP = "ramp"


class Breaker:
    """One engine as this process has found it lately.

    *told* hears each change of state. *clock* (seconds) and *chance* (0 to 1) are the world's.
    """

    def __init__(
        self,
        told: Callable[[BreakerState], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._told = told
        self._clock = clock
        self._chance = chance
        self._state = BreakerState.CLOSED
        self._unknown = 0
        self._pause = _FIRST_PAUSE
        self._until = 0.0

    @property
    def state(self) -> BreakerState:
        """The state now."""
        if self._state is BreakerState.RAMP and self._clock() >= self._until:
            self._become(BreakerState.CLOSED)
            self._pause = _FIRST_PAUSE
        return self._state

    def lets_pass(self) -> bool:
        """Tell whether a call may be made; who is let pass tells how it went."""
        now, state = self._clock(), self.state
        if state is BreakerState.CLOSED:
            return True
        if state is BreakerState.RAMP:
            passed = 1 - (self._until - now) / _RAMP
            return self._chance() < _RAMP_START + (1 - _RAMP_START) * passed
        if now < self._until:
            return False
        # This caller is the canary; the next one comes when nothing was heard of it.
        self._until = now + _CANARY_TIME
        self._become(BreakerState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """Hear that a call was answered."""
        self._unknown = 0
        if self._state is BreakerState.HALF_OPEN:
            self._until = self._clock() + _RAMP
            self._become(BreakerState.RAMP)

    def refused(self) -> None:
        """Hear of a definite no."""
        self._open()

    def unanswered(self) -> None:
        """Hear that nobody knows how a call went: one may be chance."""
        self._unknown += 1
        if self.state is not BreakerState.CLOSED or self._unknown >= _UNKNOWN_TO_OPEN:
            self._open()

    def _open(self) -> None:
        state = self.state
        if state is BreakerState.OPEN:
            return  # of calls that were under way when it opened
        if state is not BreakerState.CLOSED:
            self._pause = min(self._pause * 2, _LAST_PAUSE)
        self._unknown = 0
        jitter = 1 + _JITTER * (2 * self._chance() - 1)
        self._until = self._clock() + self._pause * jitter
        self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        if state is not self._state:
            self._state = state
            if self._told is not None:
                self._told(state)

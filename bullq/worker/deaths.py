"""When a child that has ended is replaced: at once, after a pause, or not at all. Pure."""

from __future__ import annotations

from dataclasses import dataclass

RECYCLED = 75
"""The exit code of a child that has stopped in order to be replaced."""

STARTS_IN_VAIN = 5
"""Starts in a row that may end before the worker works."""

STEADY = 10.0
"""Seconds of work after which a death counts as the first one again."""

_FIRST_PAUSE, _LAST_PAUSE = 0.1, 10.0  # seconds


@dataclass(frozen=True)
class End:
    """How one child ended: its exit code, its age in seconds, and whether it ever worked."""

    code: int
    age: float
    worked: bool


class Deaths:
    """Counts the ends of the children in one place.

    Starts that fail by the exit code *no_redis* are an outage's: they are put up with for
    *max_outage* seconds, of which there are fewer starts the longer it lasts.
    """

    def __init__(self, no_redis: int, max_outage: float) -> None:
        self._no_redis = no_redis
        self._max_outage = max_outage
        self._deaths = 0
        self._in_vain = 0
        self._outage = 0.0

    def pause_after(self, end: End) -> float | None:
        """Give the seconds until the next start; None where starting again is of no use."""
        if end.worked:
            self._in_vain, self._outage = 0, 0.0
        elif end.code == self._no_redis:
            self._outage += end.age
        else:
            self._in_vain += 1
        if end.code == RECYCLED:
            self._deaths = 0
            return 0.0
        if self._in_vain >= STARTS_IN_VAIN or self._outage > self._max_outage:
            return None
        self._deaths = 1 if end.worked and end.age > STEADY else self._deaths + 1
        pause = min(_FIRST_PAUSE * 2.0 ** (self._deaths - 1), _LAST_PAUSE)
        if not end.worked:
            self._outage += pause
        return pause

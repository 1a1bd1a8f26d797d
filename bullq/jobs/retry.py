"""When a failed job is tried again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self

from bullq.clock import Duration, to_ms
from bullq.errors import InvalidOptionError, RetryAfter
from bullq.jobs.failure import causes

MAX_WAIT_MS = 2**40
"""The longest wait, about 34 years: the due time, in units of 1/4096 ms, is a double's score."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt, as BullMQ's built-in strategies count it.

    *kind* 'fixed' waits *delay_ms* each time, 'exponential' doubles it from attempt to attempt.
    *jitter* from 0 to 1 is the share of the wait that is drawn by chance.
    """

    kind: Literal["fixed", "exponential"] = "exponential"
    delay_ms: int = 1_000
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("fixed", "exponential"):
            raise InvalidOptionError(f"A backoff is 'fixed' or 'exponential', not {self.kind!r}")
        if not 0 <= self.jitter <= 1:
            raise InvalidOptionError(f"A backoff's jitter is from 0 to 1, not {self.jitter}")
        if self.delay_ms < 0:
            raise InvalidOptionError(f"A backoff's delay is 0 ms or more, not {self.delay_ms}")

    @classmethod
    def fixed(cls, delay: Duration, jitter: float = 0.0) -> Self:
        """Wait the same time before each attempt."""
        return cls("fixed", to_ms(delay), jitter)

    @classmethod
    def exponential(cls, delay: Duration = timedelta(seconds=1), jitter: float = 0.0) -> Self:
        """Wait *delay* before the second attempt, and twice as long before each one after it."""
        return cls("exponential", to_ms(delay), jitter)

    def wait_ms(self, attempts_made: int, chance: Callable[[], float] = random.random) -> int:
        """Give the milliseconds to wait after the attempt number *attempts_made*, from 1."""
        longest = self.delay_ms
        if self.kind == "exponential":
            # Past 2^53 ms the score of a delayed job loses its meaning; nobody waits that long.
            longest = round(min(2.0 ** min(attempts_made - 1, 64) * self.delay_ms, 2.0**52))
        if not self.jitter:
            return longest
        return math.floor(longest * (1 - self.jitter) + chance() * longest * self.jitter)


def asked_wait(error: BaseException) -> float | None:
    """Give the seconds after which the job has asked to be tried again; None where it has not."""
    return max((one.delay for one in causes(error) if isinstance(one, RetryAfter)), default=None)


def wait_after(error: BaseException, stored: Any, attempts_made: int) -> int | None:
    """Give the ms to wait after an attempt, from 1, that *error* has failed.

    *stored* is the job's backoff as BullMQ keeps it. None where it is not known here: a strategy
    that only its producer knows ends the job, since a guessed wait could hammer whatever the
    strategy was to spare.
    """
    asked = asked_wait(error)
    if asked is not None:
        return min(round(asked * 1000), MAX_WAIT_MS)
    if not stored:
        return 0
    if isinstance(stored, int | float):
        stored = {"type": "fixed", "delay": stored}
    try:
        backoff = Backoff(stored["type"], round(stored.get("delay", 0)), stored.get("jitter", 0.0))
    except (InvalidOptionError, KeyError, TypeError, ValueError, OverflowError, AttributeError):
        error.add_note(f"Not tried again: the job's backoff {stored!r} is not known here.")
        return None
    return min(backoff.wait_ms(attempts_made), MAX_WAIT_MS)

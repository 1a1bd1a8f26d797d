"""Ids of jobs: made by the client, so that sending one again is harmless."""

from __future__ import annotations

import os
import secrets
import time
from itertools import count

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PLACES = [10 * place for place in reversed(range(11))]  # 22 characters, two at a time


class _Ulids:
    """Makes ULIDs: 48 bits of milliseconds and 80 of chance, which sort by time as text.

    Of those 80, the last 20 count within a millisecond, so that ids also sort as they were made.
    """

    def __init__(self) -> None:
        self._now = (-1, "", count())

    def make(self) -> str:
        """Make an id; threads may do so at the same time."""
        moment, beginning, places = self._now
        ms = time.time_ns() // 1_000_000
        if ms != moment:
            # From the lower half: there is room for 524,288 ids of this process and millisecond.
            chance = secrets.randbits(79)
            number = ms << 60 | chance >> 19
            beginning = "".join([_PAIRS[number >> place & 1023] for place in _PLACES])
            places = count(chance & 0x7FFFF)
            self._now = (ms, beginning, places)
        place = next(places)
        return f"{beginning}{_PAIRS[place >> 10]}{_PAIRS[place & 1023]}"

    def forget(self) -> None:
        """Begin with new chance: a child that was forked must not make its parent's ids."""
        self._now = (-1, "", count())


_ulids = _Ulids()
new_job_id = _ulids.make
"""Make an id for a job: a ULID."""
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork either
    os.register_at_fork(after_in_child=_ulids.forget)

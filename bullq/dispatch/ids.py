"""Ids of jobs: made by the client, so that sending one again is harmless."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PLACES = [10 * place for place in reversed(range(13))]  # 26 characters, two at a time


def new_job_id() -> str:
    """Make a ULID: 48 bits of milliseconds and 80 of chance, which sort by time as text."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return "".join([_PAIRS[number >> place & 1023] for place in _PLACES])

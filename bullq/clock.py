"""Durations as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

Duration = timedelta | float
"""A length of time: a timedelta, or a number of seconds."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def to_ms(duration: Duration) -> int:
    """Give *duration* in whole milliseconds.

    Raises ValueError for a negative or non-finite one, and for what is no length of time.
    """
    if not isinstance(duration, timedelta | int | float):
        told = f"a duration is a timedelta or a number of seconds, not {duration!r}"
        raise ValueError(told)  # noqa: TRY004 - one kind for all that is no duration
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a duration is 0 seconds or more, not {seconds:g}")
    return round(seconds * 1000)


def parse_duration(text: str) -> float:
    """Read '500ms', '30s', '5m', '2h', '1h30m', '7d' or a plain number of seconds, as seconds.

    Raises ValueError for anything else.
    """
    stripped = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return float(stripped)
    if stripped and not _PART.sub("", stripped):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(stripped))
    raise ValueError(f"{text!r} is no duration; write it like 500ms, 30s, 5m, 1h30m or 7d")


def format_ms(milliseconds: float) -> str:
    """Write a length of time for people: '12 ms', '3.4 s', '5.0 min', '2.0 h', '3.5 d'."""
    if round(milliseconds) < 1_000:  # noqa: PLR2004 - a second
        return f"{milliseconds:.0f} ms"
    # Rounded before the unit is chosen, so that nothing is '60.0 s'.
    for limit, divisor, unit in ((60, 1_000, "s"), (60, 60_000, "min"), (48, 3_600_000, "h")):
        amount = round(milliseconds / divisor, 1)
        if amount < limit:
            return f"{amount:.1f} {unit}"
    return f"{milliseconds / 86_400_000:.1f} d"

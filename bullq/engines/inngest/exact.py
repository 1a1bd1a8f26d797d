"""Carry integers past Inngest's server, to which every number in an event is a float."""

from __future__ import annotations

import json
from typing import Any

_MOST = 2**53  # from here on a float leaves integers out


def is_rounded(value: Any) -> bool:
    """Tell whether there is an integer in JSON data that a float may not hold."""
    if isinstance(value, int):
        return abs(value) > _MOST
    if isinstance(value, dict):
        return any(map(is_rounded, value.values()))
    return isinstance(value, list) and any(map(is_rounded, value))


def to_text(value: Any) -> str:
    """Write JSON data as a text, which no server changes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

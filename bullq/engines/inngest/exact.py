"""Carry values past Inngest: each number in an event is a float there, half a character is none."""

from __future__ import annotations

from typing import Any

_MOST = 2**53  # from here on a float leaves integers out


def is_changed(value: Any) -> bool:
    """Tell whether the server, or its SDK, would change or refuse JSON data."""
    if isinstance(value, str):
        return has_halves(value)
    if isinstance(value, int):
        return abs(value) > _MOST
    if isinstance(value, dict):
        return any(map(has_halves, value)) or any(map(is_changed, value.values()))
    return isinstance(value, list) and any(map(is_changed, value))


def has_halves(text: str) -> bool:
    """Tell whether there are halves of characters in a text, which UTF-8 cannot hold."""
    return not text.isascii() and text != text.encode("utf-8", "replace").decode()

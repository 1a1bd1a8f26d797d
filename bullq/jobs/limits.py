"""How much a step may carry: the narrowest engine's bounds, the same on every engine."""

from __future__ import annotations

from bullq.errors import PayloadError, ResultError

MOST_PAYLOAD_BYTES = 3 * 1024 * 1024
"""The JSON of what a step sends to another job, or as an event."""

MOST_RESULT_BYTES = 4 * 1024 * 1024
"""The JSON of what a step gives."""

MOST_STATE_BYTES = 32 * 1024 * 1024
"""The results of all steps of one job together."""

MOST_STEPS = 1_000
"""Steps of one job, repeated ids counted each time."""


def check_payload(place: str, text: str) -> str:
    """Give *text* (JSON), or raise PayloadError where it is more than an engine takes."""
    if (size := size_of(text)) > MOST_PAYLOAD_BYTES:
        raise PayloadError(
            f"{place} sends {format_bytes(size)}, and {format_bytes(MOST_PAYLOAD_BYTES)} is the "
            "most; store it elsewhere and send where it is"
        )
    return text


def check_result(place: str, text: str) -> str:
    """Give *text* (JSON), or raise ResultError where it is more than an engine takes."""
    if (size := size_of(text)) > MOST_RESULT_BYTES:
        raise ResultError(
            f"{place} gave {format_bytes(size)}, and {format_bytes(MOST_RESULT_BYTES)} is the "
            "most; store it elsewhere and give where it is"
        )
    return text


def size_of(text: str) -> int:
    """Count the bytes of *text*; of one that is short at any rate, its characters."""
    return len(text) if len(text) * 4 <= MOST_PAYLOAD_BYTES else len(text.encode())


def format_bytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1024 / 1024:.1f} MiB"

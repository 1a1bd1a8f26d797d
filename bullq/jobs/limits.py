"""How much a job may carry: the narrowest engine's bounds, the same on every engine."""

from __future__ import annotations

from bullq.errors import PayloadError, ResultError

MOST_EVENT_BYTES = 3 * 1024 * 1024
"""An event of Inngest's, by which jobs and signals go there."""

MOST_PAYLOAD_BYTES = MOST_EVENT_BYTES - 8 * 1024
"""The JSON of what is sent to a job, or as a signal: its event tells a little more."""

MOST_RESULT_BYTES = 4 * 1024 * 1024
"""The JSON of what a step gives, or a job."""

MOST_STATE_BYTES = 32 * 1024 * 1024
"""The results of all steps of one job together."""

MOST_STEPS = 1_000
"""Steps of one job, repeated ids counted each time."""


def check_payload(place: str, size: int) -> None:
    """Raise PayloadError where *size* bytes of JSON are more than any engine takes."""
    if size > MOST_PAYLOAD_BYTES:
        raise PayloadError(
            f"{place}: {size:,} bytes of JSON, and {MOST_PAYLOAD_BYTES:,} is the most; store what "
            "is big elsewhere and send where it is"
        )


def check_result(size: int) -> None:
    """Raise ResultError where *size* bytes of JSON are more than any engine takes."""
    if size > MOST_RESULT_BYTES:
        raise ResultError(
            f"the job ran, but its result has {size:,} bytes of JSON, and {MOST_RESULT_BYTES:,} is "
            "the most; store what is big elsewhere and give where it is"
        )


def size_of(text: str) -> int:
    """Count the bytes of *text*; of one that is short at any rate, its characters."""
    return len(text) if len(text) * 4 <= MOST_PAYLOAD_BYTES else len(text.encode())


def format_bytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1024 / 1024:.1f} MiB"

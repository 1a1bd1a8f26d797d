"""What a worker and its job processes say to each other: maps of text and numbers, no objects."""

from __future__ import annotations

import struct
from typing import Any

import msgpack

LENGTH = struct.Struct(">I")
"""What stands before each frame: the number of its bytes."""

LONGEST = 512 * 1024 * 1024
"""Bytes of the longest frame: what Redis takes for one value."""


def packed(frame: dict[str, Any]) -> bytes:
    """Give a frame as it is sent."""
    # Half a character in some job's error must not end its process.
    body: bytes = msgpack.packb(frame, unicode_errors="surrogatepass")
    if len(body) > LONGEST:
        raise ValueError(f"{len(body):,} bytes are too many; Redis takes {LONGEST:,} at most")
    return LENGTH.pack(len(body)) + body


def unpacked(body: bytes) -> dict[str, Any]:
    """Read a frame's bytes."""
    frame: dict[str, Any] = msgpack.unpackb(body, unicode_errors="surrogatepass")
    return frame

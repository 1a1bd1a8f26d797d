"""Cut a stream of bytes into the messages of Redis's protocol, unchanged."""

from __future__ import annotations

_LINES = b"+-:_#,("
_BULKS = b"$=!"
_LISTS = b"*~>"
_MAPS = b"%|"


class Frames:
    """One direction of one connection."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Give the messages that are whole with this chunk, each as it came."""
        held = self._rest + chunk
        whole, start = [], 0
        while (end := _end(held, start)) is not None:
            whole.append(held[start:end])
            start = end
        self._rest = held[start:]
        return whole


def _end(held: bytes, start: int) -> int | None:
    """Give where the message at *start* ends; None where it has not arrived whole."""
    at, left = start, 1
    while left:
        line = held.find(b"\r\n", at)
        if line < 0:
            return None
        kind, after = held[at], line + 2
        left -= 1
        if kind in _BULKS:
            length = int(held[at + 1 : line])
            at = after if length < 0 else after + length + 2
        elif kind in _LISTS:
            at, left = after, left + max(0, int(held[at + 1 : line]))
        elif kind in _MAPS:
            at, left = after, left + 2 * int(held[at + 1 : line])
        elif kind in _LINES:
            at = after
        else:
            raise ValueError(f"no message of Redis begins with {held[at : at + 20]!r}")
    return at if at <= len(held) else None

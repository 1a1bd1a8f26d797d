"""What each event loop has of its own: a connection cannot be used from another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One *T* for each event loop, made when it is first asked for there.

    Weak references would not do: connections refer to their loop, which would thereby keep
    itself alive. What belonged to loops that have ended is let go when another one begins, so
    that a program that calls `asyncio.run` again and again does not collect connections.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """Give the one of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            for ended in [one for one in list(self._made) if one.is_closed()]:
                self._made.pop(ended, None)
            found = self._made[loop] = self._make()
        return found

    def pop(self) -> T | None:
        """Take the one of the running event loop away; None where it has none."""
        return self._made.pop(asyncio.get_running_loop(), None)

    def clear(self) -> None:
        """Let all of them go, as after a fork."""
        self._made = {}

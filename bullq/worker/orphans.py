"""Reap the processes that a supervisor inherits where it is the first one of a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_PAUSE = 5.0  # seconds between two looks


async def reap_orphans(own: Callable[[], Collection[int]], pause: float = _PAUSE) -> None:
    """Reap, for ever, what has ended and is nobody's.

    What a killed worker process has started becomes ours, and when it ends it stays in the
    process table until somebody asks for it. *own* gives the ids of those that others wait for.
    """
    seen: set[int] = set()
    while True:
        ended = _ended_children() - set(own())
        # Only at the second look: whoever waits for a process that has just begun has it by then.
        for pid in ended & seen:
            _reap(pid)
        seen = ended
        await asyncio.sleep(pause)


def _ended_children() -> set[int]:
    """Name our children that nobody has asked for since they ended; none where /proc is silent."""
    try:
        pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return set()
    return {pid for pid in map(int, pids.split()) if _has_ended(pid)}


def _has_ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] == "Z"


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)

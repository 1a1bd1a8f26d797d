"""Look at other processes from a test: they cannot set its events, so they are looked at again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.deadline import DEADLINE


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def pids_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


async def until(condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
    def look() -> None:
        end = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < end, "it has not come about in time"
            time.sleep(0.01)

    await asyncio.to_thread(look)


async def until_noted(file: Path, count: int = 1) -> list[int]:
    """Wait until jobs have noted *count* process ids."""
    await until(lambda: len(pids_in(file)) >= count)
    return pids_in(file)


async def until_gone(pid: int) -> None:
    await until(lambda: not alive(pid))

"""One worker process of a supervisor: started, watched by its heartbeat, stopped or killed."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

Command = Callable[[int, str, Path], list[str]]
"""Gives the command line of a child: its number from 1, its tokens' prefix, its heartbeat file."""


class Child:
    """A worker in a process of its own. It stops in order when its standard input closes."""

    def __init__(
        self, process: asyncio.subprocess.Process, token_prefix: str, heartbeat: Path
    ) -> None:
        self._process = process
        self._heartbeat = heartbeat
        self._started_at = asyncio.get_running_loop().time()
        self.token_prefix = token_prefix
        """What the tokens of its locks begin with, and of no other worker's."""

    @classmethod
    async def start(cls, number: int, command: Command, folder: Path) -> Child:
        """Start the child that has the place *number*; *folder* is for its heartbeat file."""
        token_prefix = secrets.token_hex(16)
        heartbeat = folder / token_prefix
        process = await asyncio.create_subprocess_exec(
            *command(number, token_prefix, heartbeat),
            stdin=asyncio.subprocess.PIPE,  # closes with this process, however that ends
            process_group=0,  # Ctrl-C in the terminal is for this process alone
        )
        return cls(process, token_prefix, heartbeat)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def beat_at(self) -> float | None:
        """When Redis last answered it, in seconds since the epoch; None before the first time."""
        try:
            return self._heartbeat.stat().st_mtime
        except OSError:
            return None

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return asyncio.get_running_loop().time() - self._started_at

    async def wait(self) -> int:
        """Wait for its end and give its exit code, negative for a signal."""
        return await self._process.wait()

    def stop(self) -> None:
        """Ask it to stop in order; a second time, to end at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def forget(self) -> None:
        """Remove its heartbeat file."""
        with contextlib.suppress(OSError):
            self._heartbeat.unlink()

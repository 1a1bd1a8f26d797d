"""Run a command of bullq in a child process, anew whenever Python code in the folder changes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import watchfiles

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode

_STOP_MARGIN = 20.0  # seconds beyond the drain timeout for outcomes to be recorded


class OwnCode(watchfiles.PythonFilter):
    """Python files that somebody edits here, not those of a server, libraries or builds."""

    ignore_dirs = (*watchfiles.DefaultFilter.ignore_dirs, ".bullq", "venv", "build", "dist")


class Reloader:
    """Keeps one child running *words*; *drain_seconds* is what it may take to stop in order."""

    def __init__(self, words: list[str], drain_seconds: float) -> None:
        # -P, because a file of the project must not stand in for one of our libraries.
        self._command = [sys.executable, "-P", "-m", "bullq_cli", *words]
        self._stop_deadline = drain_seconds + _STOP_MARGIN
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Run until SIGINT or SIGTERM; the second of them ends this process and its child."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        watcher = asyncio.create_task(self._watch(), name="bullq watcher")
        watcher.add_done_callback(lambda _: self._stopping.set())  # it may fail
        try:
            while not self._stopping.is_set():
                await self._run_child()
        finally:
            self._stopping.set()
            await watcher

    async def _run_child(self) -> None:
        """Start the child, and stop it when there is a reason to."""
        self._changed.clear()
        child = self._child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,  # closes with this process, however that ends
            process_group=0,  # Ctrl-C in the terminal is for this process alone
        )
        await _first(child.wait(), self._changed.wait(), self._stopping.wait())
        if child.returncode is None:
            await self._stop(child)
        elif not self._changed.is_set() and not self._stopping.is_set():
            output.note(
                f"The workers ended with exit code {child.returncode}. "
                "They start again when a *.py file here changes."
            )
            await _first(self._changed.wait(), self._stopping.wait())

    async def _stop(self, child: asyncio.subprocess.Process) -> None:
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), self._stop_deadline)
        except TimeoutError:
            child.kill()
            await child.wait()

    async def _watch(self) -> None:
        changes = watchfiles.awatch(
            Path.cwd(),
            watch_filter=OwnCode(),
            stop_event=self._stopping,
        )
        try:
            async for change in changes:
                output.note(f"changed: {_names(path for _, path in change)}")
                self._changed.set()
        except OSError as error:
            raise CommandError(
                f"The folder {Path.cwd()} cannot be watched: {error}.\n"
                "On Linux, fs.inotify.max_user_watches may be too small for its many files.\n"
                "Raise it, or set WATCHFILES_FORCE_POLLING=true.",
                ExitCode.FAILED,
                "not-watchable",
            ) from None

    def _signalled(self, number: signal.Signals) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            return
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
        os._exit(128 + number)


def _names(paths: Iterable[str]) -> str:
    return ", ".join(sorted({os.path.relpath(path) for path in paths}))


async def _first(*awaitables: Awaitable[Any]) -> None:
    """Wait for whichever comes first."""
    tasks = [asyncio.ensure_future(one) for one in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""The worker processes of a measurement, as whoever measures sees them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bullq_cli.exits import CommandError, ExitCode

if TYPE_CHECKING:
    from bullq_cli.bench.plan import Load

PATIENCE = 60.0
"""Seconds within which a worker process has to answer."""
_END_DEADLINE = 5.0  # seconds
_LONGEST_LINE = 1 << 24  # bytes


class Member:
    """One worker process; it ends with the pipe to it."""

    def __init__(self, process: asyncio.subprocess.Process, answers: asyncio.StreamReader) -> None:
        self._process = process
        self._answers = answers

    async def order(self, what: str, concurrency: int = 0) -> None:
        """Tell the process what to do."""
        assert self._process.stdin is not None  # noqa: S101 - tells the type checker of PIPE
        line = json.dumps({"do": what, "concurrency": concurrency})
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def answer(self) -> dict[str, Any]:
        """Wait for the process' next answer; raise CommandError where none comes."""
        try:
            async with asyncio.timeout(PATIENCE):
                line = await self._answers.readline()
        except TimeoutError:
            raise _lost(f"it has told nothing for {PATIENCE:g} s") from None
        if not line:
            code = await self._process.wait()
            raise _lost(f"it has ended with exit status {code}; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_DEADLINE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _lost(why: str) -> CommandError:
    return CommandError(
        f"A worker process of the measurement is of no use any more: {why}.\n"
        "Try the job alone with 'bullq dispatch', and fewer processes with --processes.",
        ExitCode.FAILED,
        "bench-worker-ended",
    )


@contextlib.asynccontextmanager
async def running_crew(
    load: Load, prefix: str, url: str, processes: int
) -> AsyncIterator[list[Member]]:
    """Run that many worker processes for as long as the context lasts."""
    members: list[Member] = []
    try:
        for _ in range(processes):
            member = await _start(load, prefix, url)
            members.append(member)  # at once: those that run are ended whatever the next one does
        for member in members:
            await member.answer()
        yield members
    finally:
        await asyncio.gather(*(member.close() for member in members))


async def _start(load: Load, prefix: str, url: str) -> Member:
    read_end, write_end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bullq_cli.bench.child", json.dumps(asdict(load)), prefix, str(write_end)),
        stdin=asyncio.subprocess.PIPE,
        stdout=sys.stderr,  # what jobs print is no part of our answer
        env={**os.environ, "REDIS_URL": url},
        pass_fds=[write_end],
        start_new_session=True,  # Ctrl-C is for us; the process ends with its stdin
    )
    os.close(write_end)
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb")
    )
    return Member(process, reader)

"""Processes for CPU-bound jobs: started at first use, kept warm, killed when a job has to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from bullq.errors import GiveUp, ResultError, RetryAfter
from bullq.worker.frames import LENGTH, packed, unpacked
from bullq.worker.outcome import tell_trace
from bullq.worker.rejection import Rejected

if TYPE_CHECKING:
    from bullq.jobs.job import Job

CALLS_EACH = 1_000
"""Calls after which a process is replaced: what its jobs leak goes with it."""

_FIND_DEADLINE = 60.0  # seconds to start a process and import a job there
_PING_DEADLINE = 5.0  # seconds for a process without a job to answer
_KILL_DEADLINE = 2.0  # seconds for the kernel to end a killed process
_LAST_WORDS = 0.1  # seconds to read what a process has sent before its end


class ProcessDied(RuntimeError):  # noqa: N818 - what happened, named as people say it
    """The process that ran a job has ended in the middle of it."""


class ProcessPool:
    """Gives jobs processes, at most as many as *concurrency* and as there are CPUs."""

    def __init__(self, concurrency: int) -> None:
        self._free = asyncio.Semaphore(min(concurrency, _cpus()))
        self._idle: list[JobProcess] = []
        self._all: set[JobProcess] = set()

    @contextlib.asynccontextmanager
    async def place(self, job: Job[Any, Any]) -> AsyncIterator[JobProcess]:
        """Wait for a process that has *job* imported; it is killed if its call is cut short."""
        async with self._free:
            process = await self._warm() or await JobProcess.start()
            self._all.add(process)
            try:
                await process.find(job)
                yield process
            finally:
                if process.can_go_on and process in self._all:
                    self._idle.append(process)
                else:
                    self._all.discard(process)
                    await process.end()

    async def aclose(self) -> None:
        """End all processes, those that run a job included."""
        processes, self._all, self._idle = self._all, set(), []
        await asyncio.gather(*(process.end() for process in processes))

    async def _warm(self) -> JobProcess | None:
        """Give a process that has run jobs before and lives: one may have died in its sleep."""
        while self._idle:
            process = self._idle.pop()
            lives = False
            try:
                lives = process.can_go_on and await process.lives()
            finally:
                if not lives:
                    self._all.discard(process)
                    process.kill()
            if lives:
                return process
        return None


class JobProcess:
    """One process (processor.py) and the channel to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._asked = False
        self._calls = 0
        self._found: set[str] = set()
        self._watch = asyncio.create_task(self._clear_up(), name="bullq end of a job's process")

    @classmethod
    async def start(cls) -> JobProcess:
        """Start a process. It imports a job when it is told which."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as otherwise:
            otherwise.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "bullq.worker.processor",
                str(theirs.fileno()),
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # to be killed with all that its jobs have started
            )
            reader, writer = await asyncio.open_connection(sock=ours)
            otherwise.pop_all()
        return cls(process, reader, writer)

    @property
    def can_go_on(self) -> bool:
        """Whether it can take another call."""
        return not (self._asked or self._calls >= CALLS_EACH or self._reader.at_eof())

    async def lives(self) -> bool:
        """Ask the process for a sign of life: a death reaches its channel a moment later."""
        try:
            async with asyncio.timeout(_PING_DEADLINE):
                await self._ask({"verb": "ping"})
        except (ProcessDied, TimeoutError):
            return False
        return True

    async def find(self, job: Job[Any, Any]) -> None:
        """Have the process import *job*, where it has not yet."""
        if job.location in self._found:
            return
        try:
            async with asyncio.timeout(_FIND_DEADLINE):
                await self._ask({"verb": "find", **_place(job), "path": sys.path})
        except TimeoutError:
            raise TimeoutError(
                f"a process for the job did not import {job.function.__module__} "
                f"in {_FIND_DEADLINE:g} s"
            ) from None
        self._found.add(job.location)

    async def call(self, job: Job[Any, Any], data: str) -> str:
        """Run *job* on a payload and give its result, both as JSON text.

        Raises what the job raised, as far as it means something to bullq, and ProcessDied.
        """
        self._calls += 1
        return await self._ask({"verb": "call", **_place(job), "data": data})

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        self._writer.close()
        if self._process.returncode is None:
            self._kill_group()

    async def end(self) -> None:
        """Kill the process and wait until it has ended."""
        self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_DEADLINE):
                await self._process.wait()
        self._watch.cancel()

    async def _clear_up(self) -> None:
        """Wait for the end of the process, and see to what its job has forked.

        That would live on, and it holds the channel open, by which the end is seen.
        """
        await self._process.wait()
        self._kill_group()  # at once, while the number is nobody else's
        await asyncio.sleep(_LAST_WORDS)
        self._writer.transport.abort()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _ask(self, frame: dict[str, Any]) -> str:
        self._asked = True
        try:
            self._writer.write(packed(frame))
            await self._writer.drain()
            length = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))[0]
            answer = unpacked(await self._reader.readexactly(length))
        except (EOFError, OSError):
            raise ProcessDied(await self._cause()) from None
        self._asked = False
        if "result" in answer:
            return str(answer["result"])
        raise _raised(answer)

    async def _cause(self) -> str:
        """Say in words why the process has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_DEADLINE):
                return f"the process that ran the job {how_it_ended(await self._process.wait())}"
        return "the process that ran the job closed its channel to the worker, and was killed"


def how_it_ended(code: int) -> str:
    """Put a process' exit code, negative for a signal, into words."""
    if code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown here"
    hint = ", as the kernel does where memory runs out" if code == -signal.SIGKILL else ""
    return f"was killed by signal {-code} ({name}){hint}"


def _place(job: Job[Any, Any]) -> dict[str, str]:
    return {"module": job.function.__module__, "function": job.function.__qualname__}


def _raised(answer: dict[str, Any]) -> Exception:
    """Make the error again that the process has described."""
    error: Exception
    match answer["kind"]:
        case "retry-after":
            error = RetryAfter(answer["delay"], answer["reason"])
        case "give-up":
            error = GiveUp(answer["reason"])
        case "rejected":
            return Rejected(ResultError(answer["reason"]))
        case _:
            error = RuntimeError(answer["reason"])
    return tell_trace(error, answer["trace"])


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux knows which CPUs are ours
        return os.cpu_count() or 1

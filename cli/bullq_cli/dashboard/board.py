"""Run the Node process that serves bull-board, and end it with this one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode

SERVER = Path(__file__).parent / "server.mjs"

_START_DEADLINE = 30.0  # seconds to load bull-board and to listen
_STOP_DEADLINE = 5.0  # seconds to end after standard input has closed


@dataclass(frozen=True, kw_only=True)
class BoardConfig:
    """What the board shows to whom: the line of JSON that server.mjs reads.

    *redis* has ioredis' options; each of *queues* has a name and, for the jobs that are added in
    the board, defaultJobOptions and jobDataSchema, which may be None. *port* 0 takes a free one;
    *token* None demands none.
    """

    redis: dict[str, Any]
    prefix: str
    queues: list[dict[str, Any]]
    title: str
    host: str
    port: int
    token: str | None
    readOnly: bool  # noqa: N815 - a name of JavaScript's

    def line(self) -> bytes:
        """Give the line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


class Board:
    """The Node process, once it listens on *port*."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    async def follow(self) -> None:
        """Tell what the board tells until it ends by itself, which is an error."""
        while (told := await _next(self._process)) is not None:
            if told["event"] == "lost":
                output.note(
                    f"Redis does not answer ({told['reason']}); "
                    "the board goes on as soon as it does again."
                )
            elif told["event"] == "back":
                output.note("Redis answers again.")
        code = await self._process.wait()
        raise CommandError(
            f"The board has ended by itself, with exit code {code}.\n"
            "What Node said about it stands above; start it again.",
            ExitCode.FAILED,
            "board-ended",
        )


@contextlib.asynccontextmanager
async def running_board(node: Path, folder: Path, config: BoardConfig) -> AsyncIterator[Board]:
    """Run the board that is installed in *folder* for as long as the context lasts.

    Its standard input is held open here: the board ends when this process does, however that ends.
    """
    process = await asyncio.create_subprocess_exec(
        node,
        SERVER,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal is for this process alone
    )
    assert process.stdin is not None  # noqa: S101 - tells the type checker what PIPE means
    try:
        with contextlib.suppress(ConnectionError):  # it has ended: _listening() tells
            process.stdin.write(config.line())
            await process.stdin.drain()
        yield Board(process, await _listening(process, config))
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_DEADLINE)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _listening(process: asyncio.subprocess.Process, config: BoardConfig) -> int:
    """Wait until the board listens and give its port."""
    try:
        async with asyncio.timeout(_START_DEADLINE):
            while (told := await _next(process)) is not None:
                if told["event"] == "listening":
                    return int(told["port"])
                raise _cannot_start(told, config)
    except TimeoutError:
        reason = f"it has not begun in {_START_DEADLINE:.0f} seconds"
    else:
        reason = f"Node ended with exit code {await process.wait()}"
    raise CommandError(
        f"The board did not start: {reason}.\nWhat Node said about it stands above.",
        ExitCode.FAILED,
        "board-failed",
    )


async def _next(process: asyncio.subprocess.Process) -> dict[str, Any] | None:
    """Give the next thing that the board tells, None once it has ended."""
    assert process.stdout is not None  # noqa: S101 - see above
    line = await process.stdout.readline()
    if not line:
        return None
    told: dict[str, Any] = json.loads(line)
    return told


def _cannot_start(told: dict[str, Any], config: BoardConfig) -> CommandError:
    if told["event"] == "unconnected":
        return CommandError(
            f"The board cannot reach the Redis that bullq reaches: {told['message']}.\n"
            "Node takes certificates from NODE_EXTRA_CA_CERTS or from REDIS_URL's ssl_ca_certs.",
            ExitCode.NO_REDIS,
            "redis-unavailable",
        )
    match told["code"]:
        case "EADDRINUSE":
            return CommandError(
                f"The port {config.port} of {config.host} is taken by another program.\n"
                "Take another one with --port, or any free one with --port 0.",
                ExitCode.WRONG_INPUT,
                "port-taken",
            )
        case "EACCES":
            why = "this user may not take that port; --port 1024 and above are free for all"
        case "EADDRNOTAVAIL" | "ENOTFOUND" | "EAI_AGAIN":
            why = "this machine has no such address"
        case _:
            why = str(told["message"])
    return CommandError(
        f"The board cannot listen on {config.host}:{config.port}: {why}.\n"
        "Name another --host or --port.",
        ExitCode.WRONG_INPUT,
        "cannot-listen",
    )

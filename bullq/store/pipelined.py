"""One connection on which the commands of many callers travel together.

redis-py gives each call a connection of a pool, with checks and locks that cost 100 us and more.
Scripts are all that a worker and a dispatcher call often: they share this connection, their
commands leave in one write per tick of the event loop, and replies are told apart by their order.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import hiredis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

Command = tuple[bytes | str | int | float, ...]
Open = Callable[[Callable[[], asyncio.Protocol]], Awaitable[tuple[Any, Any]]]
"""Opens a transport for a protocol, as loop.create_connection does."""


class Scripting(Protocol):
    """What can run scripts: this connection, and redis-py's client."""

    def register_script(self, text: Any, /) -> Callable[..., Awaitable[Any]]:
        """Give a function `(keys, args)` that runs the script."""
        ...


_MORE = object()  # what hiredis gives for a reply that has not arrived whole
_ERRORS: dict[str, type[Exception]] = {
    "CLUSTERDOWN": ClusterDownError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "WRONGPASS": AuthenticationError,
}


class PipelinedConnection:
    """Sends commands at once and gives each its reply; reconnects when it is next needed.

    A command is sent once at most. Raises redis-py's errors: a ConnectionError whose text says
    'connecting to' where nothing was sent, TimeoutError after *timeout* seconds without a reply.
    """

    def __init__(
        self,
        open_transport: Open,
        greeting: Sequence[Command],
        *,
        address: str,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        self._open = open_transport
        self._greeting = greeting
        self._address = address
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._wire: _Wire | None = None
        self._attempt: asyncio.Task[_Wire] | None = None

    def register_script(self, text: str) -> Script:
        """Give the script as a function `(keys, args)`, as redis-py's own method does."""
        return Script(self, text)

    async def execute(self, *command: bytes | str | float) -> Any:
        """Send a command and wait for its reply."""
        wire = self._wire
        if wire is None or wire.lost:
            wire = await self._connect()
        return await self._ask(wire, command, self._timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._attempt is not None:
            self._attempt.cancel()
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _ask(self, wire: _Wire, command: Command, timeout: float) -> Any:  # noqa: ASYNC109
        reply = wire.send(command)
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            if reply.done() and not reply.cancelled():
                return reply.result()  # it came while something blocked the event loop
            # Nothing that comes later on this connection could be trusted to be in order.
            wire.close()
            raise RedisTimeoutError(f"Timeout reading from {self._address}") from None

    async def _connect(self) -> _Wire:
        """Connect, once for all who want it now: one after the other they would wait too long."""
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.create_task(self._opened(), name="bullq connect")
            # Where all who wanted it have gone, nobody asks how it went.
            self._attempt.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._attempt)

    async def _opened(self) -> _Wire:
        wire: _Wire
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, wire = await self._open(_Wire)
        except TimeoutError as error:
            raise RedisTimeoutError(f"Timeout connecting to {self._address}") from error
        except OSError as error:
            raise RedisConnectionError(f"Error connecting to {self._address}.") from error
        try:
            for command in self._greeting:
                await self._ask(wire, command, self._connect_timeout)
        except BaseException as error:
            wire.close()
            if isinstance(error, RedisConnectionError | RedisTimeoutError):
                raise type(error)(f"Lost while connecting to {self._address}.") from error
            raise
        self._wire = wire
        return wire


class Script:
    """A script on a connection; its text is sent only to a server that does not know it."""

    def __init__(self, connection: PipelinedConnection, text: str) -> None:
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._text = text
        self._connection = connection

    async def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run the script and give its reply."""
        run = self._connection.execute
        try:
            return await run("EVALSHA", self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await run("EVAL", self._text, len(keys), *keys, *args)


class _Wire(asyncio.Protocol):
    """The two ends of one connection: what waits to be written, and who waits for replies."""

    def __init__(self) -> None:
        self.lost = False
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(
            replyError=_error, encoding="utf-8", errors="replace", notEnoughData=_MORE
        )
        self._unsent: list[bytes] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None

    def send(self, command: Command) -> asyncio.Future[Any]:
        """Send a command with the others of this tick; the future gets its reply."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self.lost:
            reply.set_exception(RedisConnectionError("Lost after connecting to the server."))
            return reply
        if not self._unsent:
            self._loop.call_soon(self._write)
        self._unsent.append(_pack(command))
        self._waiting.append(reply)
        return reply

    def close(self) -> None:
        """Close at once; whoever still waits is told that the connection is lost."""
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (by asyncio)."""
        self._transport = transport  # type: ignore[assignment] # a stream's
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.lost:
            transport.abort()  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Hand replies to those who wait for them, in order (by asyncio)."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _MORE:
                self._answer(self._waiting.popleft(), reply)
        except (hiredis.ProtocolError, IndexError):
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell those who wait that no reply will come (by asyncio)."""
        self.lost = True
        while self._waiting:
            reply = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(RedisConnectionError("Connection closed by server."))

    def _answer(self, waiting: asyncio.Future[Any], reply: Any) -> None:
        if waiting.done():
            return  # its caller has gone
        if isinstance(reply, Exception):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def _write(self) -> None:
        commands, self._unsent = self._unsent, []
        if self._transport is not None and not self.lost:
            self._transport.write(b"".join(commands))


def _pack(command: Command) -> bytes:
    pack: Callable[[Any], bytes] = hiredis.pack_command  # typed for commands of one part only
    try:
        return pack(command)
    except UnicodeEncodeError:
        # Halves of characters, which no UTF-8 can hold, go as question marks.
        return pack(
            tuple(
                part.encode(errors="replace") if isinstance(part, str) else part for part in command
            )
        )


def _error(text: str) -> Exception:
    code, _, rest = text.partition(" ")
    known = _ERRORS.get(code)
    return known(rest) if known is not None else ResponseError(text.removeprefix("ERR "))

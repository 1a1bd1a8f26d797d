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


UnknownScript = NoScriptError
"""What is heard from a server that does not know a script by its hash."""

_TIME_TO_READ = 0.01
"""Seconds for what has come already to be read."""

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


class Waiter(Protocol):
    """Who waits for a reply: an asyncio.Future, or something of the same shape."""

    def done(self) -> bool:
        """Tell whether it has gone."""
        ...

    def set_result(self, reply: Any, /) -> None:
        """Take the reply."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """Take an error: the server's, or that no reply will come."""
        ...


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
        self.timeout = timeout
        """Seconds within which a reply has to come."""
        self._wire: _Wire | None = None
        self._attempt: asyncio.Task[_Wire] | None = None

    def register_script(self, text: str) -> Script:
        """Give the script as a function `(keys, args)`, as redis-py's own method does."""
        return Script(self, text)

    async def execute(self, *command: bytes | str | float) -> Any:
        """Send a command and wait for its reply."""
        return await self.send(pack(command))

    async def send(self, packed: bytes) -> Any:
        """Send a command that is packed already, and wait for its reply."""
        wire = self._wire
        if wire is None or wire.lost:
            wire = await self._connect()
        return await wire.ask(packed)

    async def send_all(self, *packed: bytes) -> list[Any]:
        """Send packed commands right after one another, all on the same connection."""
        wire = self._wire
        if wire is None or wire.lost:
            wire = await self._connect()
        return await asyncio.gather(*map(wire.ask, packed))

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._address

    def begin(self, packed: bytes, waiter: Waiter) -> bool:
        """Write a packed command before anything else happens; *waiter* hears of the reply.

        Gives False, and does nothing, where there is no connection: `send` makes one.
        """
        wire = self._wire
        if wire is None or wire.lost:
            return False
        wire.send(packed, waiter)
        wire.write()
        return True

    def drop(self) -> None:
        """Close the connection at once; whoever waits is told so, and the next call connects."""
        if self._wire is not None:
            self._wire.close()

    async def aclose(self) -> None:
        """Close the connection, also one that is being opened."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait([self._attempt], timeout=self._connect_timeout)
        if self._wire is not None:
            self._wire.close()
            self._wire = None

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
                _, wire = await self._open(lambda: _Wire(self._address, self._connect_timeout))
        except TimeoutError as error:
            raise RedisTimeoutError(f"Timeout connecting to {self._address}") from error
        except OSError as error:
            raise RedisConnectionError(f"Error connecting to {self._address}.") from error
        try:
            for command in self._greeting:
                await wire.ask(pack(command))
        except BaseException as error:
            wire.close()
            if isinstance(error, RedisConnectionError | RedisTimeoutError):
                raise type(error)(f"Lost while connecting to {self._address}.") from error
            raise
        wire.timeout = self.timeout
        self._wire = wire
        return wire


class Script:
    """A script on a connection; its text is sent only to a server that does not know it."""

    def __init__(self, connection: PipelinedConnection, text: str) -> None:
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.text = text
        self.connection = connection

    async def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run the script and give its reply."""
        run = self.connection.execute
        try:
            return await run("EVALSHA", self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await run("EVAL", self.text, len(keys), *keys, *args)

    def on(self, keys: Sequence[str], *, arguments: int) -> KeyedScript:
        """Give the script with its keys and the number of its arguments, packed once for all."""
        return KeyedScript(self, keys, arguments)


class KeyedScript:
    """A script that always runs on the same keys: only its arguments are packed at each call."""

    def __init__(self, script: Script, keys: Sequence[str], arguments: int) -> None:
        self.sha = script.sha
        self._connection = script.connection
        count = b"*%d\r\n" % (3 + len(keys) + arguments)
        names = b"".join(map(_part, [str(len(keys)).encode(), *(key.encode() for key in keys)]))
        self._by_sha = count + _part(b"EVALSHA") + _part(script.sha.encode()) + names
        self._by_text = count + _part(b"EVAL") + _part(script.text.encode()) + names

    async def __call__(self, *args: bytes) -> Any:
        """Run the script and give its reply."""
        try:
            return await self._connection.send(self._by_sha + b"".join(map(_part, args)))
        except NoScriptError:
            return await self._connection.send(self._by_text + b"".join(map(_part, args)))

    def begin(self, waiter: Waiter, *args: bytes) -> bool:
        """Run the script if there is a connection, as PipelinedConnection.begin does.

        *waiter* hears UnknownScript from a server that does not know the script, and has then to
        call it the other way.
        """
        return self._connection.begin(self._by_sha + b"".join(map(_part, args)), waiter)


class _Wire(asyncio.Protocol):
    """The two ends of one connection: what waits to be written, and who waits for replies."""

    def __init__(self, address: str, timeout: float) -> None:
        self.lost = False
        self.timeout = timeout
        """Seconds within which a reply has to come, for what is sent from now on."""
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(
            replyError=_error, encoding="utf-8", errors="replace", notEnoughData=_MORE
        )
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[Waiter, float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._overdue: Waiter | None = None
        self._transport: asyncio.Transport | None = None

    def ask(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a command with the others of this tick; the future gets its reply."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self.lost:
            reply.set_exception(RedisConnectionError("Lost after connecting to the server."))
            return reply
        if not self._unsent:
            self._loop.call_soon(self.write)
        self.send(packed, reply)
        return reply

    def send(self, packed: bytes, waiter: Waiter) -> None:
        """Put a command behind those that wait to be written."""
        deadline = self._loop.time() + self.timeout
        self._unsent.append(packed)
        self._waiting.append((waiter, deadline))
        if self._watch is None:
            self._watch = self._loop.call_at(deadline, self._look_at_clock)

    def write(self) -> None:
        """Write what waits to be written."""
        if self._unsent and self._transport is not None and not self.lost:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

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
                if not self._waiting:
                    self.close()
                    return
                self._answer(self._waiting.popleft()[0], reply)
        except hiredis.ProtocolError:
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell those who wait that no reply will come (by asyncio)."""
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            waiter, deadline = self._waiting.popleft()
            if waiter.done():
                continue
            if self._overdue is not None and deadline <= self._loop.time():
                waiter.set_exception(RedisTimeoutError(f"Timeout reading from {self._address}"))
            else:
                waiter.set_exception(RedisConnectionError("Connection closed by server."))

    @staticmethod
    def _answer(waiter: Waiter, reply: Any) -> None:
        if waiter.done():
            return  # its caller has gone
        if isinstance(reply, Exception):
            waiter.set_exception(reply)
        else:
            waiter.set_result(reply)

    def _look_at_clock(self) -> None:
        """Close the connection where a reply is overdue: no later one could be trusted either.

        What is late because the event loop was blocked has come and only has to be read: so the
        oldest is given another moment before it counts as lost.
        """
        self._watch = None
        if not self._waiting:
            return
        waiter, deadline = self._waiting[0]
        due = deadline
        if deadline <= self._loop.time():
            if waiter is self._overdue:
                self.close()
                return
            self._overdue, due = waiter, self._loop.time() + _TIME_TO_READ
        self._watch = self._loop.call_at(due, self._look_at_clock)


def _part(part: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(part), part)


def pack(command: Command) -> bytes:
    """Write a command as it is sent."""
    write: Callable[[Any], bytes] = hiredis.pack_command  # typed for commands of one part only
    try:
        return write(command)
    except UnicodeEncodeError:
        # Halves of characters, which no UTF-8 can hold, go as question marks.
        return write(
            tuple(
                part.encode(errors="replace") if isinstance(part, str) else part for part in command
            )
        )


def _error(text: str) -> Exception:
    code, _, rest = text.partition(" ")
    known = _ERRORS.get(code)
    return known(rest) if known is not None else ResponseError(text.removeprefix("ERR "))

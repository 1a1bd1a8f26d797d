"""A TCP proxy that fails at a given request: the link between one process and one server.

It knows where a request of Redis ends, so that a drill can go through all of them: the first run
counts, and each other run fails at the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import socket
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from tests.drills.frames import Frames


class Moment(enum.Enum):
    """When a link fails, as the server sees it."""

    BEFORE = "before"
    """The request never reaches it."""
    AFTER = "after"
    """It has executed the request, and its reply is lost."""


class Failure(enum.Enum):
    """What a link that fails does to who uses it."""

    CUT = "cut"
    """This connection is lost; the next one works."""
    AWAY = "away"
    """All connections are lost, and new ones refused, until mended."""
    SILENT = "silent"
    """Nothing goes through or comes back until mended, and what was under way is lost."""
    LATE = "late"
    """The same, but what was under way arrives once it is mended."""


@dataclass(frozen=True)
class Break:
    """A failure at the request *number*, counted from 1 over all connections."""

    number: int
    moment: Moment
    failure: Failure


class Cutter(Protocol):
    """Cuts what has come on one connection into messages."""

    def feed(self, chunk: bytes) -> list[bytes]: ...


class Chunks:
    """Takes whatever comes at once for a message, as is right for HTTP without pipelining."""

    @staticmethod
    def feed(chunk: bytes) -> list[bytes]:
        return [chunk]


@dataclass
class Losses:
    """Replies that get lost by chance; every other one takes its whole connection with it.

    The rest leave the connection silent: the two ways in which TCP loses one reply.
    """

    share: float
    chance: random.Random
    lost: int = 0

    def draw(self) -> Failure | None:
        if self.chance.random() >= self.share:
            return None
        self.lost += 1
        return self.chance.choice((Failure.CUT, Failure.SILENT))


class _Lost(Exception):  # noqa: N818 - what happened to a connection
    pass


@dataclass
class _Wire:
    """One connection through the link."""

    asked: Cutter
    answered: Cutter
    awaited: deque[Break | None] = field(default_factory=deque)
    """Of each request without a reply: the break that loses it."""
    silent: bool = False


class Link:
    """Forwards to one port of this machine, until told otherwise."""

    def __init__(self, target: int, *, cutter: type[Cutter] = Frames) -> None:
        self.port = 0
        self.requests = 0
        """How many have come."""
        self.planned: Break | None = None
        self.losses: Losses | None = None
        self.delay = 0.0
        """Seconds by which each reply is late."""
        self.broken = asyncio.Event()
        """Set once the planned break has happened."""
        self._target = target
        self._cutter = cutter
        # Not asyncio's server: one that is closed while it accepts leaves a connection open.
        self._listener: socket.socket | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._passable = asyncio.Event()
        self._passable.set()
        self._failure: Failure | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def mend(self) -> None:
        """Forward again."""
        if self._failure is Failure.SILENT:
            await self._cut_all()
        self._failure = None
        self._passable.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
            self._listener.setblocking(False)  # noqa: FBT003 - its only argument
            self.port = self._listener.getsockname()[1]
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def fail(self, failure: Failure) -> None:
        """Fail now."""
        self.broken.set()
        if failure in (Failure.SILENT, Failure.LATE):
            self._failure = failure
            self._passable.clear()
            return
        if failure is Failure.AWAY and self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for link in self._links:
            link.cancel()

    async def aclose(self) -> None:
        self.fail(Failure.AWAY)
        await self._cut_all()

    async def _cut_all(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # whoever asked has gone
            connection, _ = listener.accept()
            link = asyncio.create_task(self._link(connection))
            self._links.add(link)
            link.add_done_callback(self._links.discard)
            link.add_done_callback(lambda _: connection.close())

    async def _link(self, connection: socket.socket) -> None:
        writer: asyncio.StreamWriter | None = None
        upstream: asyncio.StreamWriter | None = None
        wire = _Wire(self._cutter(), self._cutter())
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
            answers, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            ways = [
                asyncio.create_task(self._forward(reader, upstream, wire)),
                asyncio.create_task(self._answer(answers, writer, wire)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the server is away, and so is this connection
        finally:
            for end in (writer, upstream):
                if end is not None:
                    end.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, wire: _Wire
    ) -> None:
        while chunk := await reader.read(65_536):
            for request in wire.asked.feed(chunk):
                self.requests += 1
                planned = self._planned_at(self.requests)
                if planned is not None and planned.moment is Moment.BEFORE:
                    await self._break(planned.failure)
                await self._passable.wait()
                wire.awaited.append(planned)
                upstream.write(request)
            await upstream.drain()

    async def _answer(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: _Wire
    ) -> None:
        while chunk := await answers.read(65_536):
            for reply in wire.answered.feed(chunk):
                planned = wire.awaited.popleft() if wire.awaited else None
                if planned is not None:
                    await self._break(planned.failure)
                lost = self.losses.draw() if self.losses is not None else None
                if lost is Failure.CUT:
                    raise _Lost
                wire.silent |= lost is Failure.SILENT
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._passable.wait()
                if not wire.silent:
                    writer.write(reply)
            await writer.drain()

    def _planned_at(self, number: int) -> Break | None:
        planned = self.planned
        return planned if planned is not None and planned.number == number else None

    async def _break(self, failure: Failure) -> None:
        """Fail as planned. Unless it is only late, this message gets lost."""
        if failure is Failure.CUT:
            self.broken.set()
            raise _Lost
        self.fail(failure)
        if failure is not Failure.LATE:
            await asyncio.Event().wait()  # until its connection is cut


@contextlib.asynccontextmanager
async def linked(target: int, *, cutter: type[Cutter] = Frames) -> AsyncIterator[Link]:
    """Give a link to the server on port *target* for as long as the context lasts."""
    link = Link(target, cutter=cutter)
    await link.mend()
    try:
        yield link
    finally:
        await link.aclose()

"""A TCP proxy in front of a Redis: tests break the network with it, one reply at a time."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import hiredis

_MORE = object()  # what hiredis gives for a message that has not arrived whole


class Mode(enum.Enum):
    """What the proxy does with connections and what comes over them."""

    PASS = "pass"
    REFUSE = "refuse"
    """Nobody listens, and what was connected is cut."""
    BLACK_HOLE = "black hole"
    """Connections are accepted, and nothing comes back; what is sent is never forwarded."""


@dataclass
class Caught:
    """A request that was forwarded and executed, and whose reply the proxy holds back.

    Replies behind it on the same connection wait as well: a test that goes on talking to the
    server does so past the proxy.
    """

    needle: bytes
    in_reply: bool
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server has answered, so that it has executed the request."""
    _decided: asyncio.Event = field(default_factory=asyncio.Event)
    _cut: bool = False

    def cut(self) -> None:
        """Throw the reply away and close the connection."""
        self._cut = True
        self._decided.set()

    def let_go(self) -> None:
        """Deliver the reply after all."""
        self._decided.set()

    async def is_cut(self) -> bool:
        self.answered.set()
        await self._decided.wait()
        return self._cut


class Proxy:
    """Forwards to one port of this machine, as its mode says."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.delay = 0.0
        """Seconds by which each reply is late."""
        self._target = target
        self._mode = Mode.PASS
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._traps: list[Caught] = []
        self._swallowed: set[bytes] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def set_mode(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.REFUSE:
            await self.aclose()
        elif self._server is None:
            await self._listen()

    def catch(self, needle: bytes) -> Caught:
        """Hold back the reply to the next request with *needle* in one of its arguments."""
        return self._lay(Caught(needle, in_reply=False))

    def catch_reply(self, needle: bytes) -> Caught:
        """Hold back the next reply that has *needle* in it, whoever asked for it and when."""
        return self._lay(Caught(needle, in_reply=True))

    def swallow(self, needle: bytes) -> None:
        """Let each connection fall silent that brings a request with *needle* from now on.

        What it brings is never forwarded, not even when new connections are served again.
        """
        self._swallowed.add(needle)

    def swallow_no_more(self) -> None:
        """Serve new connections again."""
        self._swallowed.clear()

    def _lay(self, trap: Caught) -> Caught:
        self._traps.append(trap)
        return trap

    async def cut_all(self) -> None:
        """Cut what is connected now, and go on listening."""
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def aclose(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.cut_all()
        if server is not None:
            await server.wait_closed()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            answers, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            asked: deque[list[Caught]] = deque()  # of each request without a reply: what caught it
            ways = {
                asyncio.create_task(self._forward(reader, upstream, asked)),
                asyncio.create_task(self._answer(answers, writer, asked)),
            }
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
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        asked: deque[list[Caught]],
    ) -> None:
        requests = hiredis.Reader(notEnoughData=_MORE)
        while chunk := await reader.read(65_536):
            await self._passable()
            for request in _whole(requests, chunk):
                if any(_contains(request, needle) for needle in self._swallowed):
                    await asyncio.Event().wait()
                asked.append(self._sprung(request, in_reply=False))
            upstream.write(chunk)
            await upstream.drain()

    async def _answer(
        self,
        answers: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        asked: deque[list[Caught]],
    ) -> None:
        replies = hiredis.Reader(notEnoughData=_MORE)
        while chunk := await answers.read(65_536):
            for reply in _whole(replies, chunk):
                for caught in asked.popleft() + self._sprung(reply, in_reply=True):
                    if await caught.is_cut():
                        return
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._passable()
            writer.write(chunk)
            await writer.drain()

    def _sprung(self, message: Any, *, in_reply: bool) -> list[Caught]:
        """Take the traps that this request or reply springs."""
        sprung = [
            trap
            for trap in self._traps
            if trap.in_reply is in_reply and _contains(message, trap.needle)
        ]
        for trap in sprung:
            self._traps.remove(trap)
        return sprung

    async def _passable(self) -> None:
        while self._mode is Mode.BLACK_HOLE:
            await self._changed.wait()


def _whole(reader: hiredis.Reader, chunk: bytes) -> Iterator[Any]:
    """Give the messages that are whole with this chunk."""
    reader.feed(chunk)
    while (message := reader.gets()) is not _MORE:
        yield message


def _contains(message: Any, needle: bytes) -> bool:
    if isinstance(message, list):
        return any(_contains(part, needle) for part in message)
    return isinstance(message, bytes) and needle in message


@contextlib.asynccontextmanager
async def running_proxy(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy for the server on port *target* for as long as the context lasts."""
    proxy = Proxy(target)
    await proxy.set_mode(Mode.PASS)
    try:
        yield proxy
    finally:
        await proxy.aclose()

"""The Inngest endpoint as an ASGI application: it bounds what a request may take of the process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.requests import Request as WebRequest
from starlette.responses import Response

from bullq.clock import Duration, to_ms
from bullq.engines.inngest.endpoint import Answer, InngestEndpoint, Request, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

_BUSY_RETRY = "5"  # seconds that the server is asked to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the endpoint may take of its process.

    *concurrency* requests are worked on at once; *waiting* more may wait for that, with their
    bodies read, each at most *max_wait*; the rest is refused with 503. A body has at most
    *body_bytes* and *body_time* to arrive.
    """

    concurrency: int = 20
    waiting: int = 100
    max_wait: Duration = 30.0
    body_bytes: int = 8 * 1024 * 1024
    body_time: Duration = 10.0


class EndpointApp:
    """Reads a request within the bounds, has it answered and sends the answer."""

    def __init__(self, endpoint: InngestEndpoint, bounds: Bounds) -> None:
        self._endpoint = endpoint
        self._bounds = bounds
        self._slots = asyncio.Semaphore(bounds.concurrency)
        self._inside = 0

    @property
    def busy(self) -> int:
        """How many requests are inside, those that wait included."""
        return self._inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = WebRequest(scope, receive)
        try:
            answer = await self._answered(request)
        except ClientDisconnect:
            return
        response = Response(answer.body, answer.status, answer.headers)
        await response(scope, receive, send)

    async def _answered(self, request: WebRequest) -> Answer:
        refused = self._endpoint.rejection(request.method, request.headers)
        if refused is not None:
            return refused
        if self._inside >= self._bounds.concurrency + self._bounds.waiting:
            return _busy()
        self._inside += 1
        try:
            body = await self._body(request)
            if isinstance(body, Answer):
                return body
            return await self._in_a_slot(request, body)
        finally:
            self._inside -= 1

    async def _body(self, request: WebRequest) -> bytes | Answer:
        """Read the body, or refuse it as soon as it is known to be too large or too slow."""
        most = self._bounds.body_bytes
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal():
            return refusal(400, "The content-length is no number")
        body, size = bytearray(), 0
        try:
            async with asyncio.timeout(to_ms(self._bounds.body_time) / 1000):
                # A sender that is cut off while it sends does not read why: what is a little too
                # large is read to its end, and thrown away.
                async for chunk in request.stream() if int(declared) <= 2 * most else _nothing():
                    size += len(chunk)
                    if size <= most:
                        body += chunk
                    elif size > 2 * most:
                        break
        except TimeoutError:
            return refusal(408, "The body did not arrive in time", connection="close")
        if max(size, int(declared)) > most:
            return refusal(413, f"The body has more than {most:,} bytes", connection="close")
        return bytes(body)

    async def _in_a_slot(self, request: WebRequest, body: bytes) -> Answer:
        try:
            async with asyncio.timeout(to_ms(self._bounds.max_wait) / 1000):
                await self._slots.acquire()
        except TimeoutError:
            return _busy()
        try:
            return await self._endpoint.answer(
                Request(
                    method=request.method,
                    url=str(request.url),
                    query=dict(request.query_params),
                    headers=dict(request.headers),
                    body=body,
                )
            )
        finally:
            self._slots.release()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


def _busy() -> Answer:
    return refusal(503, "Too many requests of Inngest at once", **{"retry-after": _BUSY_RETRY})

"""Answer one request of the Inngest server, whatever brought it here."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bullq.clock import Duration, to_ms
from bullq.engines.inngest import sdk, signatures
from bullq.engines.inngest.probe import Readiness, probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bullq.engines.inngest.functions import InngestFunctions

MAX_SIGNATURE_AGE = 300.0
"""Seconds within which a signed request has to arrive."""

_METHODS = ("GET", "POST", "PUT")
_SMALL_BODY = 64 * 1024  # bytes, whose signature takes at most some 10 ms
_log = logging.getLogger("bullq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request; the names of *headers* are in lower case, *url* is as its sender sees it."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, message: str, **headers: str) -> Answer:
    """Give an answer that refuses a request with a sentence."""
    body = json.dumps({"message": message}).encode()
    return Answer(status, body, {"content-type": "application/json", **headers})


class InngestEndpoint:
    """The functions of an application, served to requests.

    In production all requests are to be signed, and within *max_signature_age*; those of a dev
    server cannot be. *serve_origin* is the address under which the server reaches the endpoint,
    where that is not the one in its requests.
    """

    def __init__(
        self,
        functions: InngestFunctions,
        *,
        serve_origin: str | None = None,
        max_signature_age: Duration = MAX_SIGNATURE_AGE,
    ) -> None:
        self._server = functions.server
        self._server.check_can_serve()
        self._functions = functions
        self._serve_origin = serve_origin
        self._max_age = to_ms(max_signature_age) / 1000
        self._big_body = asyncio.Lock()
        self._handler = sdk.CommHandler(
            client=functions.client,
            enable_unauthed_sync=False,
            framework=sdk.Framework.FAST_API,  # the SDK names none of its own for ASGI
            functions=functions.functions,
            streaming=sdk.Streaming.DISABLE,
        )

    @property
    def is_signed(self) -> bool:
        """Whether requests have to be signed."""
        return self._server.production

    def rejection(self, method: str, headers: Mapping[str, str]) -> Answer | None:
        """Refuse what can be refused before the body is read; None where nothing speaks against."""
        if method not in _METHODS:
            return refusal(405, f"{method} is not answered here", allow=", ".join(_METHODS))
        if self.is_signed and signatures.HEADER not in headers:
            return self._unauthorized(method, signatures.Unsigned("it is not signed"))
        return None

    async def answer(self, request: Request) -> Answer:
        """Check a request and answer it."""
        if (refused := self.rejection(request.method, request.headers)) is not None:
            return refused
        if self.is_signed:
            try:
                await self._check(request)
            except signatures.Unsigned as unsigned:
                return self._unauthorized(request.method, unsigned)
        return await self._handled(request)

    async def register(self, url: str) -> Readiness:
        """Tell the server of our functions, and ask it whether it has taken them.

        *url* is where it reaches this endpoint. The SDK answers 200 also where the server has
        refused them.
        """
        headers = {}
        if self._server.signing_key is not None:
            headers[signatures.HEADER] = signatures.sign(b"", self._server.signing_key)
        answer = await self.answer(
            Request(method="PUT", url=url, query={}, headers=headers, body=b"")
        )
        told = _told(answer)
        if not told.get("ok"):
            why = told.get("error") or told.get("message") or f"it answered {answer.status}"
            return Readiness(
                ready=False,
                reason=f"Inngest at {self._server.api_url} did not register the application "
                f"{self._server.app!r}: {why}",
            )
        return await self.readiness()

    async def readiness(self) -> Readiness:
        """Ask the server whether it knows all our functions."""
        return await probe(self._server, self._functions.ids)

    async def _check(self, request: Request) -> None:
        """Raise Unsigned unless the server has signed a request just now.

        Big bodies are checked in a thread, one at a time: who has no key must not hold the event
        loop.
        """
        check = partial(
            signatures.check,
            request.body,
            request.headers.get(signatures.HEADER),
            self._server.signing_keys,
            max_age=self._max_age,
        )
        if len(request.body) <= _SMALL_BODY:
            check()
            return
        async with self._big_body:
            await asyncio.to_thread(check)

    async def _handled(self, request: Request) -> Answer:
        asked = sdk.CommRequest(
            body=request.body,
            headers=dict(request.headers),
            public_path=None,
            query_params=dict(request.query),
            raw_request=None,
            request_url=request.url,
            serve_origin=self._serve_origin,
            serve_path=None,
        )
        if request.method == "GET":
            told = self._handler.get_sync(asked)
        elif request.method == "PUT":
            told = await self._handler.put(asked)
        else:
            told = await self._handler.post(asked)
        body = told.body_bytes()
        if isinstance(body, Exception):
            return refusal(500, f"the answer cannot be written: {body}")
        return Answer(told.status_code, body, {"content-type": "application/json", **told.headers})

    def _unauthorized(self, method: str, why: signatures.Unsigned) -> Answer:
        _log.warning("refused a %s request to the Inngest endpoint: %s", method, why)
        # Whoever holds the key may know that the clocks differ; nobody else learns anything.
        stale = f": {why}" if isinstance(why, signatures.Stale) else ""
        return refusal(401, f"Unauthorized{stale}")


def _told(answer: Answer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}

"""Send jobs to Inngest as events: one HTTP call, one deadline, three outcomes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx

from bullq.clock import Duration, to_ms
from bullq.engines.inngest.http import new_client
from bullq.engines.inngest.messages import LARGEST_EVENT, JobMessage, Outcome, Sending
from bullq.errors import PayloadError
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.engines.inngest.server import InngestServer

_CONNECT_SHARE = 0.8  # of the deadline: a connection that is not there by then was never used


class EventSender:
    """Sends to one server, over connections that are kept open."""

    def __init__(self, server: InngestServer) -> None:
        self._server = server
        self._clients: PerLoop[httpx.AsyncClient] = PerLoop(lambda: new_client(server))

    async def send(self, events: Sequence[JobMessage], *, deadline: Duration) -> Sending:
        """Send the events in one request and give its outcome within *deadline*.

        Raises PayloadError for an event that is too large, SettingsError without an event key.
        """
        now_ms = time.time_ns() // 1_000_000
        return await self.send_plain([one.as_event(now_ms) for one in events], deadline=deadline)

    async def send_plain(self, events: list[dict[str, Any]], *, deadline: Duration) -> Sending:
        """Send events that are no jobs, such as signals, in the same way."""
        self._server.check_can_send()
        seconds = to_ms(deadline) / 1000
        try:
            async with asyncio.timeout(seconds):
                response = await self._post(_body(events), _seed(events), seconds)
        except TimeoutError:
            return Sending(Outcome.UNKNOWN, f"Inngest did not answer within {seconds:g} s")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            where = self._server.event_url
            return Sending(Outcome.REFUSED, f"no Inngest server at {where} ({_words(error)})")
        except httpx.HTTPError as error:
            return Sending(Outcome.UNKNOWN, f"the connection to Inngest broke ({_words(error)})")
        return _read(response, len(events))

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        if client := self._clients.pop():
            await client.aclose()

    async def _post(self, body: bytes, seed: str, seconds: float) -> httpx.Response:
        headers = {"content-type": "application/json", "x-inngest-event-id-seed": seed}
        if self._server.env is not None:
            headers["x-inngest-env"] = self._server.env
        return await self._clients.here().post(
            f"{self._server.event_url}/e/{self._server.event_key}",
            content=body,
            headers=headers,
            timeout=httpx.Timeout(seconds, connect=seconds * _CONNECT_SHARE),
        )


async def send_event(
    server: InngestServer, event: JobMessage, *, deadline: Duration = 2.0
) -> Sending:
    """Send one job over a connection of its own; whoever sends many keeps an EventSender."""
    sender = EventSender(server)
    try:
        return await sender.send([event], deadline=deadline)
    finally:
        await sender.aclose()


def _body(events: list[dict[str, Any]]) -> bytes:
    texts = [_text(event) for event in events]
    for event, text in zip(events, texts, strict=True):
        if len(text) > LARGEST_EVENT:
            raise PayloadError(
                f"payload: the event {event['name']!r} has {len(text):,} bytes, and Inngest takes "
                f"{LARGEST_EVENT:,}; put what is large elsewhere and send where it is"
            )
    return b"[" + b",".join(texts) + b"]"


def _text(event: dict[str, Any]) -> bytes:
    """Write an event in UTF-8: escapes could double the size by which it was let through."""
    text = json.dumps(event, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")  # what JSON escapes, too: half characters


def _seed(events: list[dict[str, Any]]) -> str:
    """Have the server give the same events the same internal ids when they are sent again."""
    ids = [str(event.get("id") or secrets.token_hex()) for event in events]
    digest = hashlib.sha256("\0".join(ids).encode()).digest()
    moment = events[0].get("ts") or time.time_ns() // 1_000_000
    return f"{moment},{base64.b64encode(digest[:10]).decode()}"


def _read(response: httpx.Response, count: int) -> Sending:
    try:
        told = response.json()
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    why = f"Inngest answered {response.status_code}: {told.get('error') or response.text[:200]}"
    if response.is_success and len(told.get("ids") or ()) == count and not told.get("error"):
        return Sending(Outcome.ACCEPTED)
    if response.is_client_error:
        return Sending(Outcome.REFUSED, why)
    return Sending(Outcome.UNKNOWN, why)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__

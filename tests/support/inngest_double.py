"""A double of Inngest's server, in this process: the part of its HTTP interface that bullq uses.

Test it against the record of a real one (inngest_wire.json) before you believe it anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from functools import cache
from typing import Any
from unittest.mock import patch

import httpx
import jcs
import uvicorn
from httpx import create_ssl_context
from httpx._transports import default
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bullq.dispatch.ids import new_job_id
from tests.support.deadline import DEADLINE
from tests.support.inngest_gateway import Gateway
from tests.support.inngest_runs import Answer, Run, Runs, as_floats

_LARGEST_EVENT = 3 * 1024 * 1024  # bytes
_CRON_FIELDS = 5


class InngestDouble:
    """One server. With a *signing_key* it signs what it asks, as `inngest start` does.

    *speed* lets sleeps, retries and timeouts pass so many times faster.
    """

    def __init__(
        self,
        *,
        signing_key: str | None = None,
        event_key: str | None = None,
        speed: float = 1.0,
    ) -> None:
        self.signing_key = signing_key
        self.event_key = event_key
        self.url = ""
        self.exchanges: list[dict[str, Any]] = []
        self.delay = 0.0
        """Seconds until it answers anything that it is asked."""
        self.registers = True
        """Whether it takes functions; a real one refuses all for one that is invalid."""
        self.runs = Runs(self._call, speed)
        self.gateway = Gateway(self._take_functions)
        self._apps: dict[str, list[str]] = {}
        self._http = httpx.AsyncClient(timeout=60)
        self._sockets: list[Any] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[InngestDouble]:
        """Serve on a free port of this machine until the end of the block."""
        async with self.gateway.running(), serving(self._routes()) as self.url:
            # The SDK reads all certificates for each client, which takes longer than most tests.
            read_once = patch.object(default, "create_ssl_context", cache(create_ssl_context))
            try:
                read_once.start()
                yield self
            finally:
                read_once.stop()
                await self.runs.aclose()
                await self._http.aclose()

    def _routes(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/e/{key}", self._take_events, methods=["POST"]),
                Route("/fn/register", self._register, methods=["POST"]),
                Route("/health", self._health),
                Route("/v0/connect/start", self.gateway.start, methods=["POST"]),
                Route("/v1/apps/{app}/functions", self._functions),
                Route("/v1/runs/{run}", self._cancel, methods=["DELETE"]),
            ]
        )

    def forget(self) -> None:
        """Lose all applications, as a server without a store does at a restart."""
        self._apps.clear()
        self.runs.functions.clear()

    # --- what a test asks

    async def finished(self, event_id: str, timeout: float = DEADLINE) -> Run:  # noqa: ASYNC109
        """Give the run that an event has triggered, once it has ended."""
        async with asyncio.timeout(timeout):
            run = await self.runs.of(event_id)
            await run.ended.wait()
        return run

    def runs_of(self, event_id: str) -> list[Run]:
        """List the runs that an event has triggered."""
        return [run for run in self.runs.all if run.event["id"] == event_id]

    def send(self, name: str, data: dict[str, Any] | None = None, **fields: Any) -> str:
        """Take an event as if it had been posted, and give its id."""
        event = self._checked({"name": name, "data": data or {}, **fields})
        self.runs.event(event)
        return str(event["id"])

    # --- HTTP

    async def _take_events(self, request: Request) -> Response:
        await asyncio.sleep(self.delay)
        if self.event_key is not None and request.path_params["key"] != self.event_key:
            return JSONResponse({"error": "Event key not found", "status": 401}, 401)
        body = await request.body()
        given = json.loads(body)
        try:
            events = [self._checked(one) for one in (given if isinstance(given, list) else [given])]
        except ValueError as error:
            return JSONResponse({"error": str(error), "status": 400}, 400)
        for event in events:
            self.runs.event(event)
        # Each gets a new id, a duplicate too: the sender cannot tell them apart.
        return JSONResponse({"ids": [new_job_id() for _ in events], "status": 200})

    def _checked(self, event: dict[str, Any]) -> dict[str, Any]:
        name = event.get("name") or ""
        if not name or name.startswith("inngest/"):
            raise ValueError(f"event name {name!r} is empty or reserved")
        if len(json.dumps(event)) > _LARGEST_EVENT:
            raise ValueError("event is larger than 3 MiB")
        return {
            "data": as_floats(event.get("data") or {}),
            "id": event.get("id") or new_job_id(),
            "name": name,
            "ts": event.get("ts") or round(time.time() * 1000),
            "user": {},
        }

    async def _register(self, request: Request) -> Response:
        if self.signing_key is not None and not self._is_authorized(request, hashed=True):
            return JSONResponse({"error": "unauthorized", "status": 401}, 401)
        body = await request.json()
        crons = [
            trigger["cron"].split()
            for function in body["functions"]
            for trigger in function["triggers"]
            if "cron" in trigger
        ]
        sizes = {len([part for part in cron if not part.startswith("TZ=")]) for cron in crons}
        if not self.registers or sizes - {_CRON_FIELDS}:
            error = "At least one function is invalid"
            return JSONResponse({"error": error, "status": 400}, 400)
        self._take_functions(body["appname"], body["functions"])
        return JSONResponse(
            {"ok": True, "modified": True, "sync_id": new_job_id(), "app_id": new_job_id()}
        )

    def _take_functions(self, app: str, functions: list[dict[str, Any]]) -> None:
        """Know these functions of an application, in place of those known before."""
        for known in self._apps.get(app, []):
            self.runs.functions.pop(known, None)
        self._apps[app] = [function["id"] for function in functions]
        self.runs.functions |= {function["id"]: function for function in functions}

    async def _health(self, _: Request) -> Response:
        await asyncio.sleep(self.delay)
        return JSONResponse({"status": 200, "message": "OK"})

    async def _functions(self, request: Request) -> Response:
        await asyncio.sleep(self.delay)
        if self.signing_key is not None and not self._is_authorized(request, hashed=False):
            return JSONResponse({"error": "unauthorized", "status": 401}, 401)
        known = self._apps.get(request.path_params["app"], [])
        return JSONResponse([{"slug": one, "name": one.partition("-")[2]} for one in known])

    async def _cancel(self, request: Request) -> Response:
        self.runs.cancel(request.path_params["run"])
        return JSONResponse({}, 202)

    def _is_authorized(self, request: Request, *, hashed: bool) -> bool:
        key = self.signing_key or ""
        if hashed:
            key = hashlib.sha256(bytes.fromhex(bare_key(key))).hexdigest()
        return request.headers.get("authorization") == f"Bearer {key}"

    # --- requests to the endpoint

    async def _call(self, url: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        if url.startswith("wss:"):
            return await self.gateway.call(url, headers, body)
        content = json.dumps(body).encode()
        if self.signing_key is not None:
            headers = {**headers, "x-inngest-signature": sign(content, self.signing_key)}
        try:
            response = await self._http.post(url, content=content, headers=headers)
        except httpx.HTTPError:
            return Answer(0, {}, None)
        try:
            answered = response.json()
        except ValueError:
            answered = response.text
        answer = Answer(response.status_code, dict(response.headers), answered)
        self.exchanges.append(
            {
                "request": {
                    "method": "POST",
                    "query": dict(httpx.URL(url).params),
                    "headers": headers,
                    "body": body,
                },
                "response": {
                    "status": answer.status,
                    "headers": answer.headers,
                    "body": answer.body,
                },
            }
        )
        return answer


def bare_key(signing_key: str) -> str:
    """Give a signing key without its `signkey-prod-`."""
    return signing_key.rpartition("-")[2]


def sign(body: bytes, signing_key: str, at: float | None = None) -> str:
    """Sign a body as the server does: its canonical JSON and the time in seconds."""
    moment = str(round(time.time() if at is None else at))
    canonical = jcs.canonicalize(json.loads(body)) if body else b""
    mac = hmac.new(bare_key(signing_key).encode(), canonical + moment.encode(), hashlib.sha256)
    return f"t={moment}&s={mac.hexdigest()}"


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI app on a free port, on this event loop; give its address."""
    config = uvicorn.Config(
        app, port=0, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(DEADLINE):
            await server.ready.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """uvicorn that tells when it serves, and leaves the signals of the test process alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

"""One application's web side: its endpoint, what keeps it registered, and its health."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from bullq.engines.inngest.endpoint import InngestEndpoint
from bullq.telemetry.hooks import Observers
from bullq.web.endpoint import Bounds, EndpointApp
from bullq.web.registration import Registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from bullq.app import Bullq
    from bullq.telemetry.hooks import Observer

DEFAULT_PATH = "/api/inngest"


class WebService:
    """What is mounted. *origin* is where the Inngest server reaches it, such as https://shop.example.

    None takes INNGEST_SERVE_ORIGIN; without that the server has to be told where the endpoint is.
    """

    def __init__(
        self,
        app: Bullq,
        *,
        path: str = DEFAULT_PATH,
        origin: str | None = None,
        bounds: Bounds | None = None,
        observer: Observer | None = None,
    ) -> None:
        bounds = bounds or Bounds()
        self._app = app
        self.path = path
        self._observer = Observers([observer] if observer is not None else [])
        origin = origin or app.settings.inngest_serve_origin
        self.functions = app.inngest(observer, threads=bounds.concurrency)
        self.endpoint = InngestEndpoint(self.functions, serve_origin=origin)
        self.app = EndpointApp(self.endpoint, bounds)
        self.registration = Registration(self.endpoint, origin and f"{origin}{path}")

    def routes(self, health: str) -> list[Route]:
        """Give the routes: the endpoint, and `live` and `ready` under the path *health*."""
        return [
            # A class instance as endpoint is an ASGI application to Starlette, for all methods.
            Route(self.path, self.app),
            Route(f"{health}/live", self._live),
            Route(f"{health}/ready", self._ready),
        ]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stay registered, deliver the outbox and sweep the queues until the end of the block."""
        self.registration.start()
        try:
            app, observer = self._app, self._observer
            async with app.relaying(), app.sweeping(observer), app.watching(observer):
                yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Let the server be, and close what was opened."""
        await self.registration.stop()
        await self.functions.aclose()

    async def _live(self, _: Request) -> Response:
        """Answer that the event loop turns; whoever gets no answer may restart the process."""
        return JSONResponse({"live": True, "busy": self.app.busy})

    async def _ready(self, _: Request) -> Response:
        """Answer whether jobs that are sent to Inngest would run here."""
        found = await self.registration.look()
        told = {"ready": found.ready, "reason": found.reason, "missing": list(found.missing)}
        canaries = self._app.canaries
        dead = [] if canaries is None else [one for one in canaries.dead if one.engine == "inngest"]
        if dead and found.ready:
            queues = ", ".join(sorted(one.queue for one in dead))
            told["ready"] = False
            told["reason"] = f"The last canary did not come back ({queues}): {dead[0].reason}"
        return JSONResponse(told, 200 if told["ready"] else 503)

"""The endpoint as an application of its own, for `bullq serve` or any ASGI server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette

from bullq.web.mounting import mount
from bullq.web.service import DEFAULT_PATH

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.telemetry.hooks import Observer
    from bullq.web.endpoint import Bounds


def asgi(
    app: Bullq,
    *,
    path: str = DEFAULT_PATH,
    health: str = "/health",
    origin: str | None = None,
    bounds: Bounds | None = None,
    observer: Observer | None = None,
) -> Starlette:
    """Give an ASGI application that does nothing but serve the jobs of *app* to Inngest."""
    web = Starlette()
    mount(web, app, path=path, health=health, origin=origin, bounds=bounds, observer=observer)
    return web

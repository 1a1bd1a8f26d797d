"""Put the endpoint into a web application that is there already, in one line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from bullq.web.service import DEFAULT_PATH, WebService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette

    from bullq.app import Bullq
    from bullq.telemetry.hooks import Observer
    from bullq.web.endpoint import Bounds


def mount(
    web: Starlette,
    app: Bullq,
    *,
    path: str = DEFAULT_PATH,
    health: str = "/bullq",
    origin: str | None = None,
    bounds: Bounds | None = None,
    observer: Observer | None = None,
) -> WebService:
    """Have *web*, a FastAPI or Starlette application, serve the jobs of *app* to Inngest.

    It adds the endpoint at *path* and, below *health*, `live` and `ready`; while *web* runs, the
    application is kept registered. *origin* is the address under which the Inngest server reaches
    *web*; None takes INNGEST_SERVE_ORIGIN. *bounds* are what the endpoint may take of the process.

    Raises SettingsError without INNGEST_SIGNING_KEY, where INNGEST_DEV does not say that the
    server is one for development.
    """
    service = WebService(app, path=path, origin=origin, bounds=bounds, observer=observer)
    web.router.routes.extend(service.routes(health))
    theirs = web.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[Any]:
        async with theirs(application) as state, service.running():
            yield state

    web.router.lifespan_context = lifespan
    web.state.bullq = service
    return service

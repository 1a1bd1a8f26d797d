"""Keep the application registered at the Inngest server, and know whether it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from bullq.engines.inngest.probe import Readiness

if TYPE_CHECKING:
    from bullq.engines.inngest.endpoint import InngestEndpoint

_FIRST_PAUSE, _LAST_PAUSE = 0.5, 30.0  # seconds between attempts while it is not registered
_FIRST_LOOK = 5.0  # seconds for the first answer of a server
_INTERVAL = 30.0  # seconds between looks at a server that knows all functions

_log = logging.getLogger("bullq")


class Registration:
    """One task that registers, looks, and registers again when the server has forgotten.

    *url* is where the server reaches the endpoint; None where somebody else registers it, such
    as a server that was told to look there.
    """

    def __init__(self, endpoint: InngestEndpoint, url: str | None) -> None:
        self.readiness = Readiness(ready=False, reason="Inngest has not been asked yet")
        self._endpoint = endpoint
        self._url = url
        self._task: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._known = asyncio.Event()
        self._changed = asyncio.Event()

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._task = asyncio.create_task(self._keep(), name="bullq inngest registration")

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def reach_at(self, url: str) -> None:
        """Say where the server reaches the endpoint, once that is known; it is registered anew."""
        self._url = url
        self._changed.set()

    async def registered(self) -> Readiness:
        """Wait until the server knows all jobs; whoever waits sets a deadline."""
        await self._known.wait()
        return self.readiness

    async def look(self) -> Readiness:
        """Give how things stand; the first time, once the server was asked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK):
                await self._asked.wait()
        return self.readiness

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            before = self.readiness
            self.readiness = await self._asked_now()
            self._asked.set()
            if self.readiness.ready:
                self._known.set()
                pause = _FIRST_PAUSE
                if not before.ready:
                    _log.info("Inngest knows all jobs of this application")
                await self._wait(_INTERVAL)
            else:
                self._known.clear()
                if self.readiness.reason != before.reason:
                    _log.warning("%s", self.readiness.reason)
                await self._wait(pause)
                pause = min(pause * 2, _LAST_PAUSE)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _asked_now(self) -> Readiness:
        """Look, and register where something is missing; nothing that it meets ends the task."""
        try:
            found = await self._endpoint.readiness()
            if not found.ready and found.reachable and self._url is not None:
                return await self._endpoint.register(self._url)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why we are not ready
            return Readiness(ready=False, reason=f"Inngest cannot be asked: {error}")
        return found

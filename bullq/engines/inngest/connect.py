"""Run jobs over a connection to the Inngest server that we open: no endpoint, no open port."""

from __future__ import annotations

import asyncio
import time
import warnings
from typing import TYPE_CHECKING

from bullq.clock import Duration, format_ms, to_ms
from bullq.errors import SettingsError

if TYPE_CHECKING:
    from bullq.engines.inngest.functions import InngestFunctions
    from bullq.telemetry.hooks import Observer

_FIRST_PAUSE, _LAST_PAUSE = 0.5, 30.0  # seconds between connections that did not last
_CANCEL_SECONDS = 5.0  # for a connection that was not left in time
_LASTED = 60.0  # seconds after which a connection counts as a good one


class ConnectWorker:
    """Keeps a connection of Inngest's SDK going.

    The SDK gives up for good once it has not reached the server for about 20 seconds. It is begun
    anew here for as long as it takes: a worker outlives its server.
    """

    def __init__(
        self,
        functions: InngestFunctions,
        observer: Observer,
        *,
        name: str,
        concurrency: int | None = None,
        drain_timeout: Duration = 30.0,
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        functions.server.check_can_serve()
        self._functions = functions
        self._observer = observer
        self._name = name
        self._concurrency = concurrency
        self._drain_seconds = to_ms(drain_timeout) / 1000
        self._first_pause = first_pause
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no more jobs, let running ones end within the drain timeout, and leave."""
        self._stopping.set()

    async def run(self) -> None:
        """Run jobs until stop() is called.

        Raises SettingsError where the server refuses our keys: trying again would not help.
        """
        pause = self._first_pause
        while not self._stopping.is_set():
            began = time.monotonic()
            why = await self._connected()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _LASTED:
                pause = self._first_pause
            self._observer.trouble(
                "inngest", f"the connection has ended, again in {format_ms(pause * 1000)}: {why}"
            )
            await self._wait(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def _connected(self) -> str:
        """Hold one connection until it ends or the worker stops; say why it has ended."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of protobuf, at import
            from inngest.connect import connect  # noqa: PLC0415 - protobuf and websockets
        connection = connect(
            [(self._functions.client, self._functions.functions)],
            instance_id=self._name,
            shutdown_signals=[],  # signals are the command's
            max_worker_concurrency=self._concurrency,
        )
        held = asyncio.create_task(connection.start(), name="bullq inngest connection")
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([held, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not held.done():
                await connection.close()
                await asyncio.wait([held], timeout=self._drain_seconds)
        finally:
            stopping.cancel()
            if not held.done():
                held.cancel()
                await asyncio.wait([held], timeout=_CANCEL_SECONDS)
        return _reason(held, self._functions.server.api_url)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _reason(held: asyncio.Task[None], server: str) -> str:
    if not held.done() or held.cancelled():
        return "it was left"
    error = held.exception()
    if error is not None and "unauthorized" in str(error):
        raise SettingsError(
            f"Inngest at {server} refuses INNGEST_SIGNING_KEY; is it the key of this server?"
        ) from error
    return str(error) if error else f"Inngest at {server} has closed it"

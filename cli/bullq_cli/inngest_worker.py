"""`bullq worker --engine inngest`: run jobs over a connection to the Inngest server."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from bullq_cli.loops import run_to_end

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.telemetry.logging import LoggingObserver
    from bullq_cli.signals import StopSignals

_DRAIN_SECONDS = 30.0


def run_inngest_worker(  # noqa: PLR0917 - called once
    app: Bullq,
    log: LoggingObserver,
    signals: StopSignals,
    name: str | None,
    concurrency: int | None,
    drain_seconds: float | None,
) -> None:
    """Run the jobs of all queues until a signal comes; raises SettingsError for a wrong key."""
    from bullq.engines.inngest.connect import ConnectWorker
    from bullq.worker.worker import default_worker_name

    drain = _DRAIN_SECONDS if drain_seconds is None else drain_seconds

    async def work() -> None:
        functions = app.inngest(log, threads=concurrency or 20)
        worker = ConnectWorker(
            functions,
            log,
            name=name or default_worker_name(),
            concurrency=concurrency,
            drain_timeout=drain,
        )
        loop = asyncio.get_running_loop()

        def stop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed already
                loop.call_soon_threadsafe(worker.stop)

        signals.attach(stop, drain)
        log.note(f"connecting to Inngest at {functions.server.api_url}", jobs=len(functions.ids))
        try:
            async with app.watching(log):
                await worker.run()
        finally:
            await functions.aclose()
            await app.aclose()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        run_to_end(loop, loop.create_task(work()), partial(log.trouble, "inngest"))

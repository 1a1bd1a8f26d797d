"""Take jobs back from workers that have gone silent."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from bullq.clock import to_ms
from bullq.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bullq.queues.queue import JobQueue
    from bullq.store.scripts import WorkerScripts
    from bullq.telemetry.hooks import Observer
    from bullq.worker.health import Health


class Recovery:
    """Makes BullMQ's stalled check at the start and then at every interval.

    A check marks what is active and takes back what was marked and has no lock any more, so a
    silent worker's jobs run again within lock duration + interval. One worker of all checks.
    """

    def __init__(
        self,
        queue: JobQueue,
        scripts: WorkerScripts,
        observer: Observer,
        health: Health,
        server_ms: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._scripts = scripts
        self._observer = observer
        self._health = health
        self._server_ms = server_ms

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self.check()
            await asyncio.sleep(to_ms(self._queue.spec.stalled_interval) / 1000)

    async def make_due(self) -> None:
        """Let the next check come at once, whoever makes it."""
        with contextlib.suppress(StoreUnavailable), self._queue.store.errors():
            await self._queue.store.client().delete(self._queue.keys.key("stalled-check"))

    async def check(self) -> None:
        """Check once; an outage of Redis is noted and the next check comes in its time."""
        spec = self._queue.spec
        try:
            with self._queue.store.errors():
                stalled = await self._scripts.move_stalled_jobs_to_wait(
                    spec.max_stalled_count, to_ms(spec.stalled_interval), self._server_ms()
                )
        except StoreUnavailable as error:
            self._health.failed(error)
            return
        if stalled:
            self._observer.jobs_stalled(spec.name, stalled)

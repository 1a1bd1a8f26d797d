"""Put the jobs of a dead child back into their queues, without waiting for their locks to end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bullq.errors import StoreUnavailable
from bullq.store.taking_back import ReturnScript

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bullq.queues.queue import JobQueue
    from bullq.telemetry.hooks import Observer

_PASSES = (0.0, 0.2, 1.0)
"""Seconds to wait before each look: Redis may still have calls to read that the dead has sent."""
_RETRY_PAUSE = 0.5  # seconds between attempts while Redis does not serve


class TakeBack:
    """Returns what a worker held whose tokens are known to begin alike."""

    def __init__(self, queues: Sequence[JobQueue], observer: Observer) -> None:
        self._observer = observer
        self._queues = [(queue, ReturnScript(queue.store.client(), queue.keys)) for queue in queues]

    async def run(self, token_prefix: str) -> None:
        """Return the jobs of the worker with these tokens, on every queue; wait out an outage."""
        for pause in _PASSES:
            await asyncio.sleep(pause)
            for queue, scripts in self._queues:
                await self._return(queue, scripts, f"{token_prefix}:")

    async def _return(self, queue: JobQueue, scripts: ReturnScript, begin: str) -> None:
        while True:
            try:
                with queue.store.errors():
                    ids = await scripts.return_held_by(begin, queue.spec.max_stalled_count)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_PAUSE)
            except Exception as error:  # noqa: BLE001 - the stalled check takes them back later
                message = "a dead process' jobs cannot be returned at once"
                self._observer.trouble(queue.spec.name, message, error)
                return
            else:
                break
        if ids:
            self._observer.jobs_stalled(queue.spec.name, ids)

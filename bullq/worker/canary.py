"""Take the canaries of a worker's queue, beside it and by the same means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bullq.errors import StoreUnavailable
from bullq.jobs.job import job
from bullq.jobs.registry import JobRegistry
from bullq.queues.canary import CANARY, canary_queue
from bullq.telemetry.hooks import Observer
from bullq.worker.worker import Worker

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue

_PAUSE = 1.0  # seconds until it is tried again


class CanaryTaker:
    """Runs the canaries of one queue in a small worker of their own, for as long as it runs."""

    def __init__(self, queue: JobQueue, observer: Observer) -> None:
        self._queue = canary_queue(queue)
        self._observer = observer

        async def come(_: dict[str, Any]) -> None:
            """Come, which is all that a canary has to do."""

        taken = job(queue=queue.spec.name, name=CANARY.name)(come)
        self._jobs = JobRegistry([taken])

    async def run(self) -> None:
        """Take canaries for ever; whatever goes wrong ends nothing else."""
        while True:
            try:
                await Worker(self._queue, self._jobs, Observer()).run()
            except StoreUnavailable:
                pass  # the worker itself tells that
            except Exception as error:  # noqa: BLE001 - jobs are run all the same
                told = "canaries cannot be taken"
                self._observer.trouble(self._queue.spec.name, told, error)
            await asyncio.sleep(_PAUSE)

"""Workers inside tests: what they tell is recorded, and can be awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from bullq.app import Bullq
from bullq.telemetry.hooks import Observer
from bullq.worker.worker import Worker
from tests.support.deadline import DEADLINE


@dataclass(frozen=True)
class Told:
    """One call of an observer."""

    what: str
    arguments: tuple[Any, ...]


class Recorder(Observer):
    """Hears everything; a test awaits what it expects."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.counts: Counter[str] = Counter()
        self._changed = asyncio.Event()
        for name in [name for name in vars(Observer) if not name.startswith("_")]:
            setattr(self, name, self._hear(name))

    def _hear(self, name: str) -> Callable[..., None]:
        def hear(*arguments: Any) -> None:
            self.told.append(Told(name, arguments))
            self.counts[name] += 1
            self._changed.set()

        return hear

    def all(self, what: str) -> list[Told]:
        return [told for told in self.told if told.what == what]

    async def wait_for(self, what: str, count: int = 1, deadline: float = DEADLINE) -> list[Told]:
        """Wait until *what* was told *count* times."""
        async with asyncio.timeout(deadline):
            while self.counts[what] < count:
                self._changed.clear()
                await self._changed.wait()
        return self.all(what)


@contextlib.asynccontextmanager
async def running_worker(
    app: Bullq, queue: str, **options: Any
) -> AsyncIterator[tuple[Worker, Recorder]]:
    """Run a worker for as long as the context lasts, and see that it ends in order."""
    recorder = Recorder()
    worker = app.worker(queue, recorder, **options)
    task = asyncio.create_task(worker.run())
    try:
        started = asyncio.create_task(recorder.wait_for("worker_started"))
        await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            started.cancel()
            task.result()
        yield worker, recorder
    finally:
        worker.stop()
        async with asyncio.timeout(DEADLINE):
            await task

"""Drop-in workers inside tests, beside the official client's queue: their events can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import bullmq
import redis.asyncio

from bullq import Worker
from tests.support.deadline import DEADLINE


class Events:
    """Hears a worker's events; a test awaits what it expects."""

    def __init__(self, worker: Worker) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self._changed = asyncio.Event()
        for name in (
            *("active", "completed", "failed", "progress", "stalled", "error"),
            *("ready", "paused", "resumed", "closing", "closed", "locksRenewed"),
        ):
            worker.on(name, self._hear(name))

    def _hear(self, name: str) -> Callable[..., None]:
        def hear(*arguments: Any) -> None:
            self.told.append((name, arguments))
            self._changed.set()

        return hear

    def all(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for told, arguments in self.told if told == name]

    async def wait_for(self, name: str, count: int = 1) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(DEADLINE):
            while len(self.all(name)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.all(name)


class Bench:
    """One queue of the official client, and workers of ours on it."""

    def __init__(self, url: str, prefix: str) -> None:
        self.options = {"connection": url, "prefix": prefix}
        self.client: Any = redis.asyncio.from_url(url, decode_responses=True)
        self.queue = bullmq.Queue("q", self.options)
        self.base = f"{prefix}:q:"
        self._workers: list[Worker] = []

    def worker(self, processor: Callable[..., Any] | None, **options: Any) -> tuple[Worker, Events]:
        worker = Worker("q", processor, {**self.options, **options})
        self._workers.append(worker)
        return worker, Events(worker)

    async def add(self, data: Any = None, **options: Any) -> bullmq.Job:
        return await self.queue.add("job", data if data is not None else {}, options)

    async def stored(self, job: bullmq.Job) -> dict[str, str]:
        fields: dict[str, str] = await self.client.hgetall(f"{self.base}{job.id}")
        return fields

    async def aclose(self) -> None:
        for worker in self._workers:
            async with asyncio.timeout(DEADLINE):
                await worker.close(force=True)
        await self.queue.close()
        await self.client.aclose()


async def idle(_job: Any, _token: str) -> None:
    """Do nothing."""

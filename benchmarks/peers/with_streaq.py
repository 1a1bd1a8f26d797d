"""streaq, on uvloop."""

from __future__ import annotations

from typing import Any

import uvloop
from streaq import Worker

from benchmarks.peers.meter import Meter
from benchmarks.peers.stage import AsyncSystem, Data, perform


class Streaq(AsyncSystem):
    versions = ("streaq", "coredis")
    offers_bulk = True

    def __init__(self, url: str, meter: Meter) -> None:
        super().__init__(url, meter)
        self._set_up(1)

    def _set_up(self, concurrency: int) -> None:
        self.worker: Any = Worker(redis_url=self.url, concurrency=concurrency, queue_name="bench")

        @self.worker.task(name="job", ttl=0)
        async def run_job(data: Data) -> None:
            await self.handle(data)

        self.task = run_job

    async def open(self) -> None:
        self._context = self.worker
        await self._context.__aenter__()

    async def add(self, data: Data) -> None:
        await self.task.enqueue(data)

    async def add_many(self, jobs: list[Data]) -> None:
        await self.worker.enqueue_many([self.task.enqueue(data) for data in jobs])

    def work(self, concurrency: int) -> None:
        self._set_up(concurrency)
        self.run(self.worker.run_async())

    def run(self, coroutine: Any) -> None:
        uvloop.run(coroutine)


if __name__ == "__main__":
    perform(Streaq)

"""The official Python client of BullMQ, as its documentation starts it."""

from __future__ import annotations

import asyncio
from typing import Any

from bullmq import Queue, Worker

from benchmarks.peers.stage import AsyncSystem, Data, perform

_REMOVED = {"removeOnComplete": True}


class Official(AsyncSystem):
    versions = ("bullmq", "redis")
    offers_bulk = True

    async def open(self) -> None:
        self.queue = Queue("bench", {"connection": self.url})

    async def add(self, data: Data) -> None:
        await self.queue.add("job", data, _REMOVED)

    async def add_many(self, jobs: list[Data]) -> None:
        await self.queue.addBulk([{"name": "job", "data": data, "opts": _REMOVED} for data in jobs])

    def work(self, concurrency: int) -> None:
        async def process(job: Any, _: str) -> None:
            await self.handle(job.data)

        async def run() -> None:
            worker = Worker("bench", process, {"connection": self.url, "concurrency": concurrency})
            await asyncio.Event().wait()
            await worker.close()

        asyncio.run(run())


if __name__ == "__main__":
    perform(Official)

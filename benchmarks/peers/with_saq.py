"""saq with its Redis queue, on uvloop."""

from __future__ import annotations

from typing import Any

import uvloop
from saq import Queue, Worker

from benchmarks.peers.stage import AsyncSystem, Data, perform


class Saq(AsyncSystem):
    versions = ("saq", "redis", "hiredis")

    async def open(self) -> None:
        self.queue = Queue.from_url(self.url, name="bench")
        await self.queue.connect()

    async def add(self, data: Data) -> None:
        await self.queue.enqueue("run_job", data=data)

    def work(self, concurrency: int) -> None:
        async def run_job(_: Any, *, data: Data) -> None:
            await self.handle(data)

        async def run() -> None:
            await self.open()
            await Worker(self.queue, [("run_job", run_job)], concurrency=concurrency).start()

        self.run(run())

    def run(self, coroutine: Any) -> None:
        uvloop.run(coroutine)


if __name__ == "__main__":
    perform(Saq)

"""taskiq with a Redis stream, on uvloop, as its command line runs it."""

from __future__ import annotations

from typing import Any

import uvloop
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.peers.meter import Meter
from benchmarks.peers.stage import AsyncSystem, Data, perform


class Taskiq(AsyncSystem):
    versions = ("taskiq", "taskiq-redis", "redis")

    def __init__(self, url: str, meter: Meter) -> None:
        super().__init__(url, meter)
        # Jobs are added before the worker starts: its group begins at the stream's beginning.
        self.broker = RedisStreamBroker(url, queue_name="bench", consumer_id="0")

        @self.broker.task(task_name="job")
        async def run_job(data: Data) -> None:
            await self.handle(data)

        self.task = run_job

    async def open(self) -> None:
        await self.broker.startup()

    async def add(self, data: Data) -> None:
        await self.task.kiq(data)

    def work(self, concurrency: int) -> None:
        async def run() -> None:
            self.broker.is_worker_process = True
            await run_receiver_task(self.broker, max_async_tasks=concurrency, run_startup=True)

        self.run(run())

    def run(self, coroutine: Any) -> None:
        uvloop.run(coroutine)


if __name__ == "__main__":
    perform(Taskiq)

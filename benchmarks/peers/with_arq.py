"""arq, on uvloop, with its default poll delay."""

from __future__ import annotations

from typing import Any

import uvloop
from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from benchmarks.peers.stage import AsyncSystem, Data, perform


class Arq(AsyncSystem):
    versions = ("arq", "redis", "hiredis")

    async def open(self) -> None:
        self.pool = await create_pool(RedisSettings.from_dsn(self.url))

    async def add(self, data: Data) -> None:
        await self.pool.enqueue_job("run_job", data)

    def work(self, concurrency: int) -> None:
        async def run_job(_: Any, data: Data) -> None:
            await self.handle(data)

        async def run() -> None:
            worker = Worker(
                [func(run_job, name="run_job")],
                redis_settings=RedisSettings.from_dsn(self.url),
                max_jobs=concurrency,
                keep_result=0,
                handle_signals=False,
            )
            await worker.async_run()

        self.run(run())

    def run(self, coroutine: Any) -> None:
        uvloop.run(coroutine)


if __name__ == "__main__":
    perform(Arq)

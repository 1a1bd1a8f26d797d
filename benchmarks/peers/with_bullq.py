"""bullq in the place of the official worker: a bare processor, and jobs added without a check."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import uvloop

from benchmarks.peers.meter import Meter
from benchmarks.peers.stage import AsyncSystem, Data, perform
from bullq import Bullq, Job, Keep, QueueSpec, Worker
from bullq.dispatch.ids import new_job_id
from bullq.settings import Settings
from bullq.store.adding import JobKind, NewJob

KIND = JobKind("job", {"removeOnComplete": True})


class BullqBare(AsyncSystem):
    versions = ("bullq", "redis")
    offers_bulk = True

    def __init__(self, url: str, meter: Meter) -> None:
        super().__init__(url, meter)
        spec = QueueSpec(name="bench", keep_completed=Keep(count=0))
        settings = Settings.model_validate({"REDIS_URL": url})
        self.app = Bullq(jobs=self.jobs(), queues=[spec], settings=settings)

    def jobs(self) -> list[Job[Any, Any]]:
        return []

    async def open(self) -> None:
        self.queue = self.app.queue("bench")

    async def add(self, data: Data) -> None:
        await self.queue.add(_new(data))

    async def add_many(self, jobs: list[Data]) -> None:
        await self.queue.add_many([_new(data) for data in jobs])

    def work(self, concurrency: int) -> None:
        async def process(job: Any, _: str) -> None:
            await self.handle(job.data)

        async def run() -> None:
            worker = Worker("bench", process, {"connection": self.url, "concurrency": concurrency})
            await asyncio.Event().wait()
            await worker.close()

        self.run(run())

    def run(self, coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(coroutine)


def _new(data: Data) -> NewJob:
    return NewJob(KIND, new_job_id(), json.dumps(data))


if __name__ == "__main__":
    perform(BullqBare)

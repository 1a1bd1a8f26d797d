"""bullq with a bare processor: a job that takes the data as it comes, added without a check."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import uvloop

from benchmarks.peers.meter import Meter
from benchmarks.peers.stage import AsyncSystem, Data, perform
from bullq import Bullq, Job, Keep, Observer, QueueSpec, job
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
        self.job = self.make_job()
        self.app = Bullq(jobs=[self.job], queues=[spec], settings=settings)

    def make_job(self) -> Job[Any, Any]:
        async def bare(data: dict[str, Any]) -> None:
            await self.handle(data)

        made: Job[Any, Any] = job(queue="bench", name="job")(bare)
        return made

    async def open(self) -> None:
        self.queue = self.app.queue("bench")

    async def add(self, data: Data) -> None:
        await self.queue.add(_new(data))

    async def add_many(self, jobs: list[Data]) -> None:
        await self.queue.add_many([_new(data) for data in jobs])

    def work(self, concurrency: int) -> None:
        async def run() -> None:
            await self.app.worker("bench", Observer(), concurrency=concurrency).run()

        self.run(run())

    def run(self, coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(coroutine)


def _new(data: Data) -> NewJob:
    return NewJob(KIND, new_job_id(), json.dumps(data))


if __name__ == "__main__":
    perform(BullqBare)

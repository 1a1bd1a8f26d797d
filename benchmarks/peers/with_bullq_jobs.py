"""bullq as it is meant to be used: a @job with a pydantic payload, dispatched."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from benchmarks.peers.stage import Data, perform
from benchmarks.peers.with_bullq import BullqBare
from bullq import Job, Observer, job


class Measured(BaseModel):
    """What every system's job gets."""

    n: int = 0
    sent: int | None = None
    ready: bool | None = None


class BullqJobs(BullqBare):
    def jobs(self) -> list[Job[Any, Any]]:
        async def measure(data: Measured) -> None:
            await self.handle(vars(data))

        self.job: Job[Any, Any] = job(queue="bench", name="measure")(measure)
        return [self.job]

    def work(self, concurrency: int) -> None:
        async def run() -> None:
            await self.app.worker("bench", Observer(), concurrency=concurrency).run()

        self.run(run())

    async def add(self, data: Data) -> None:
        await self.job.dispatch(Measured(**data))

    async def add_many(self, jobs: list[Data]) -> None:
        await self.job.dispatch_many([Measured(**data) for data in jobs])


if __name__ == "__main__":
    perform(BullqJobs)

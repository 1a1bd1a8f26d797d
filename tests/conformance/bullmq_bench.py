"""The bench of BullMQ: real workers on a real server, two queues, and a way to kill a worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from bullq import Bullq, Job, QueueSpec
from bullq.settings import Settings
from bullq.store.taking_back import ReturnScript
from bullq.telemetry.hooks import Observer
from bullq.testing.conformance import Bench, Run, Session
from bullq.testing.conformance.kit import OTHER_QUEUE, QUEUE
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer

QUEUES = [
    QueueSpec(name=name, concurrency=20, max_stalled_count=9) for name in (QUEUE, OTHER_QUEUE)
]
PAUSED = {"delayed", "waiting-children"}


class BullmqRun:
    def __init__(self, receipt: Any) -> None:
        self.id: str = receipt.id
        self.receipt = receipt

    async def result(self) -> Any:
        return await self.receipt.result(timeout=DEADLINE)


class BullmqSession(Session):
    def __init__(self, app: Bullq) -> None:
        self._app = app
        self._workers: dict[str, tuple[str, asyncio.Task[None], Any]] = {}
        self._deaths: set[asyncio.Task[None]] = set()

    async def start(self, job: Job[Any, Any], payload: Any) -> Run:
        return BullmqRun(await job.dispatch(payload))

    async def until_paused(self, run: Run) -> None:
        assert isinstance(run, BullmqRun)
        async with asyncio.timeout(DEADLINE):
            while await run.receipt.status() not in PAUSED:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.002)

    async def pass_time(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds())

    async def kill(self, job_id: str) -> None:
        death = asyncio.create_task(self._replace(QUEUE))
        self._deaths.add(death)
        await asyncio.Event().wait()

    async def remove(self, run: Run) -> None:
        job = await self._app.queue(QUEUE).live.getJob(run.id)
        await job.remove()

    async def logs(self, run: Run) -> list[str]:
        queue = self._app.queue(QUEUE)
        rows: list[str] = await queue.store.client().lrange(queue.keys.logs(run.id), 0, -1)
        return rows

    async def progress(self, run: Run) -> Any:
        queue = self._app.queue(QUEUE)
        return json.loads(await queue.store.client().hget(queue.keys.job(run.id), "progress"))

    def employ(self, queue: str) -> None:
        prefix = secrets.token_hex(8)
        worker = self._app.worker(queue, Observer(), token_prefix=prefix)
        self._workers[queue] = (prefix, asyncio.create_task(worker.run()), worker)

    async def aclose(self) -> None:
        await asyncio.gather(*self._deaths)
        for _, _, worker in self._workers.values():
            worker.stop()
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*(task for _, task, _ in self._workers.values()))

    async def _replace(self, name: str) -> None:
        """End a worker in mid-job, have its jobs back as its supervisor would, start another."""
        prefix, task, _ = self._workers[name]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        queue = self._app.queue(name)
        script = ReturnScript(queue.store.client(), queue.keys)
        await script.return_held_by(f"{prefix}:", queue.spec.max_stalled_count)
        self.employ(name)


class BullmqBench(Bench):
    engine = "bullmq"
    pause = timedelta(milliseconds=60)
    tick = timedelta(milliseconds=100)

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    @contextlib.asynccontextmanager
    async def session(self, *jobs: Job[Any, Any]) -> AsyncIterator[Session]:
        values = {"REDIS_URL": self._server.url, "BULLQ_PREFIX": f"t{secrets.token_hex(4)}"}
        app = Bullq(jobs=jobs, queues=QUEUES, settings=Settings(**values))  # type: ignore[arg-type]
        session = BullmqSession(app)
        for queue in sorted({job.queue for job in jobs}):
            session.employ(queue)
        try:
            yield session
        finally:
            await session.aclose()
            await app.aclose()

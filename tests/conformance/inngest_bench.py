"""The bench of Inngest: the cases run through a double of its server, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.types import Receive, Scope, Send

from bullq import Bullq, Job
from bullq.dispatch.ids import new_job_id
from bullq.engines.inngest.events import JobMessage, Outcome
from bullq.errors import JobFailed
from bullq.settings import Settings
from bullq.testing.conformance.bench import Bench, Run, Session
from bullq.web.service import WebService
from tests.support.inngest_double import InngestDouble, serving
from tests.support.inngest_runs import Run as DoubleRun

SPEED = 50
PATH = "/api/inngest"


class Switch:
    """An ASGI application that is another one for each session."""

    service: WebService | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.service is not None and scope["type"] == "http":
            await self.service.app(scope, receive, send)


@dataclass
class InngestRun:
    id: str
    job: Job[Any, Any]
    double: InngestDouble

    async def result(self) -> Any:
        run = await self.double.finished(self.id, timeout=20)
        if run.status == "Completed":
            return self.job.result.decode(json.dumps(run.output))
        raise JobFailed(self.id, run.output["message"])


class InngestSession(Session):
    def __init__(self, bench: InngestBench, app: Bullq) -> None:
        self._bench = bench
        self._app = app

    async def start(self, job: Job[Any, Any], payload: Any, *, id: str | None = None) -> Run:  # noqa: A002
        run = InngestRun(id or new_job_id(), job, self._bench.double)
        message = JobMessage(
            queue=job.queue, name=job.name, job_id=run.id, data=job.payload.encode(payload)
        )
        sent = await self._app.inngest_events.send([message], deadline=5)
        assert sent.outcome is Outcome.ACCEPTED, sent.reason
        return run

    async def until_paused(self, run: Run) -> None:
        async with asyncio.timeout(10):
            await (await self._of(run.id)).paused()

    async def pass_time(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds() / SPEED)

    async def kill(self, job_id: str) -> None:
        """Break the connection over which the job was asked for, and end the job's task."""
        for call in (await self._of(job_id)).calls:
            call.cancel()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    async def remove(self, run: Run) -> None:
        self._bench.double.runs.cancel((await self._of(run.id)).id)

    async def logs(self, run: Run) -> list[str]:
        queue = self._queue(run)
        rows: list[str] = await self._app.store.client().lrange(queue.keys.logs(run.id), 0, -1)
        return rows

    async def progress(self, run: Run) -> Any:
        queue = self._queue(run)
        return json.loads(await self._app.store.client().hget(queue.keys.job(run.id), "progress"))

    def _queue(self, run: Run) -> Any:
        assert isinstance(run, InngestRun)
        return self._app.queue(run.job.queue)

    async def _of(self, job_id: str) -> DoubleRun:
        return await self._bench.double.runs.of(job_id)


class InngestBench(Bench):
    engine = "inngest"
    pause = timedelta(seconds=1)
    tick = timedelta(seconds=1)
    # Branches are asked for in requests of their own, each with a body of its own; and a job of
    # 1,000 steps runs its body 1,001 times. A request that is lost is an attempt to its server. Who
    # sends an event cannot know whether Inngest has the job, or will have it.
    lacks = frozenset({"overlap", "many-steps", "free-crashes", "refusals"})

    def __init__(self, double: InngestDouble, switch: Switch, url: str, settings: Settings) -> None:
        self.double = double
        self._switch = switch
        self._url = url
        self._settings = settings

    @contextlib.asynccontextmanager
    async def session(self, *jobs: Job[Any, Any]) -> AsyncIterator[Session]:
        # Effects are shared by all jobs of a queue: each session has its own queues.
        own = {"prefix": f"{self._settings.prefix}-{new_job_id()}"}
        app = Bullq(jobs=jobs, settings=self._settings.model_copy(update=own))
        service = WebService(app, path=PATH)
        self._switch.service = service
        found = await service.endpoint.register(self._url + PATH)
        assert found.ready, found.reason
        try:
            yield InngestSession(self, app)
        finally:
            await service.aclose()
            await app.aclose()


@contextlib.asynccontextmanager
async def inngest_bench(redis_url: str, prefix: str) -> AsyncIterator[InngestBench]:
    """Start a double and the server of the endpoint, for all sessions."""
    switch = Switch()
    async with InngestDouble(speed=SPEED).running() as double, serving(switch) as url:
        settings = Settings(
            REDIS_URL=redis_url,
            BULLQ_PREFIX=prefix,
            INNGEST_DEV="1",
            INNGEST_BASE_URL=double.url,
        )
        yield InngestBench(double, switch, url, settings)

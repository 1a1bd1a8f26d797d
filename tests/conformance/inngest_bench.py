"""The bench of Inngest: the cases run through a double of its server, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.types import Receive, Scope, Send

from bullq import Bullq, Job
from bullq.dispatch.ids import new_job_id
from bullq.engines.inngest.errors import read_output
from bullq.engines.inngest.messages import JobMessage, Outcome
from bullq.errors import JobFailed, ResultGone
from bullq.queues.queue import JobQueue
from bullq.queues.results import ResultWatcher
from bullq.settings import Settings
from bullq.testing.conformance.bench import Bench, Run, Session
from bullq.web.service import WebService
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble, serving
from tests.support.inngest_runs import Run as DoubleRun

SPEED = 50
_QUIET = 0.7  # seconds; a server's tick is a fraction of that
_REMOTE_DEADLINE = 60.0
PATH = "/api/inngest"


class Switch:
    """An ASGI application that is another one for each session, and knows when it is asked."""

    service: WebService | None = None

    def __init__(self) -> None:
        self._inside = 0
        self._asked = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.service is None or scope["type"] != "http":
            return
        self._inside += 1
        self._asked.set()
        try:
            await self.service.app(scope, receive, send)
        finally:
            self._inside -= 1

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing was asked for so long."""
        while True:
            self._asked.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._asked.wait()
            except TimeoutError:
                if not self._inside:
                    return


@dataclass
class InngestRun:
    id: str
    job: Job[Any, Any]
    double: InngestDouble

    async def result(self) -> Any:
        run = await self.double.finished(self.id)
        if run.status == "Completed":
            return self.job.result.decode(read_output(run.output))
        raise JobFailed(self.id, run.output["message"])


class RemoteRun:
    """A run at a server of its own: what it comes to is known from our store."""

    def __init__(self, job_id: str, job: Job[Any, Any], queue: JobQueue) -> None:
        self.id = job_id
        self.job = job
        self._queue = queue

    async def result(self) -> Any:
        watcher = ResultWatcher(self._queue.store, self._queue.keys)
        async with asyncio.timeout(_REMOTE_DEADLINE):
            while True:
                with contextlib.suppress(ResultGone):  # it has no record before it begins
                    ended = await watcher.wait(self.id, _REMOTE_DEADLINE, since_ms=0)
                    break
                await asyncio.sleep(0.05)
        if not ended.completed:
            raise JobFailed(self.id, ended.value)
        return self.job.result.decode(ended.value)


class InngestSession(Session):
    def __init__(self, bench: InngestBench, app: Bullq) -> None:
        self._bench = bench
        self._app = app

    def _run(self, job: Job[Any, Any], job_id: str) -> Run:
        return InngestRun(job_id, job, self._bench.double)

    async def start(self, job: Job[Any, Any], payload: Any, *, id: str | None = None) -> Run:  # noqa: A002
        run = self._run(job, id or new_job_id())
        message = JobMessage(
            queue=job.queue, name=job.name, job_id=run.id, data=job.payload.encode(payload)
        )
        sent = await self._app.inngest_events.send([message], deadline=5)
        assert sent.outcome is Outcome.ACCEPTED, sent.reason
        return run

    async def until_paused(self, run: Run) -> None:
        async with asyncio.timeout(DEADLINE):
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
        await asyncio.sleep(3600)

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
        assert isinstance(run, InngestRun | RemoteRun)
        return self._app.queue(run.job.queue)

    async def _of(self, job_id: str) -> DoubleRun:
        return await self._bench.double.runs.of(job_id)


class RemoteSession(InngestSession):
    """A session at a real server, which is seen by what it asks, and by what ends on record."""

    def _run(self, job: Job[Any, Any], job_id: str) -> Run:
        return RemoteRun(job_id, job, self._app.queue(job.queue))

    async def until_paused(self, run: Run) -> None:
        async with asyncio.timeout(_REMOTE_DEADLINE):
            await self._bench.switch.quiet(_QUIET)

    async def pass_time(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds())


class InngestBench(Bench):
    engine = "inngest"
    pause = timedelta(seconds=1)
    tick = timedelta(seconds=1)
    # A server begins nothing new before all that a request has planned is done; and a job of 1,000
    # steps runs its body 1,001 times. A request that is lost is an attempt to its server. Who sends
    # an event cannot know whether Inngest has the job, or will have it.
    lacks = frozenset({"eager-branches", "many-steps", "free-crashes", "refusals"})
    kind: type[InngestSession] = InngestSession

    def __init__(self, double: InngestDouble, switch: Switch, url: str, settings: Settings) -> None:
        self.double = double
        self.switch = switch
        self._url = url
        self._settings = settings

    @contextlib.asynccontextmanager
    async def session(self, *jobs: Job[Any, Any]) -> AsyncIterator[Session]:
        # Effects are shared by all jobs of a queue: each session has its own queues.
        own = {"prefix": f"{self._settings.prefix}-{new_job_id()}"}
        app = Bullq(jobs=jobs, settings=self._settings.model_copy(update=own))
        service = WebService(app, path=PATH)
        self.switch.service = service
        found = await service.endpoint.register(self._url + PATH)
        assert found.ready, found.reason
        try:
            yield self.kind(self, app)
        finally:
            await service.aclose()
            await app.aclose()


class RemoteBench(InngestBench):
    """The bench of a real server, which this machine runs and nobody here can break."""

    pause = timedelta(seconds=2)
    lacks = InngestBench.lacks | {"kill", "remove"}
    kind = RemoteSession


REMOTE = os.environ.get("BULLQ_TEST_INNGEST_URL")
"""A dev server of Inngest, to run the cases against it in place of the double."""

BENCH = RemoteBench if REMOTE else InngestBench


@contextlib.asynccontextmanager
async def inngest_bench(redis_url: str, prefix: str) -> AsyncIterator[InngestBench]:
    """Start a double, unless there is a server, and serve the endpoint, for all sessions."""
    switch = Switch()
    if REMOTE:
        settings = Settings(
            REDIS_URL=redis_url, BULLQ_PREFIX=prefix, INNGEST_DEV="1", INNGEST_BASE_URL=REMOTE
        )
        async with serving(switch) as url:
            yield RemoteBench(InngestDouble(), switch, url, settings)
        return
    async with InngestDouble(speed=SPEED).running() as double, serving(switch) as url:
        settings = Settings(
            REDIS_URL=redis_url,
            BULLQ_PREFIX=prefix,
            INNGEST_DEV="1",
            INNGEST_BASE_URL=double.url,
        )
        yield InngestBench(double, switch, url, settings)

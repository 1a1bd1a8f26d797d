"""Where a drill plays: a Redis, a double of Inngest, workers, dispatchers, and one history."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import redis.asyncio

from bullq import Bullq
from bullq.dispatch.outbox import Outbox
from bullq.store.arbiter import Arbiter, live_workers
from bullq.web import asgi
from tests.drills.checker import Verdict, judge
from tests.drills.dispatcher_process import Order
from tests.drills.history import KILLED, LEFT, STARTED, History, jobs_that
from tests.drills.jobs import QUEUE, new_app
from tests.drills.link import Chunks, Link, linked
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble, serving
from tests.support.servers import RedisServer
from tests.support.workers import running_worker

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_LOOK_AGAIN = 0.03  # seconds; other processes tell nobody here
_GRACE_MS = 200
_MOST_NAMED = 100  # of the jobs at one place
_LISTS = ("wait", "paused", "active")
_ZSETS = ("prioritized", "delayed", "bullq:rerouted")


@dataclass
class Site:
    """One drill's place. Dispatchers reach both engines by links; workers and Inngest do not."""

    server: RedisServer
    prefix: str
    history: History
    double: InngestDouble
    redis: Link
    inngest: Link
    own: Bullq = field(repr=False)
    """The application that Inngest's runs reach, and whose workers are in this process."""
    stack: contextlib.AsyncExitStack = field(repr=False)
    outboxes: list[Path] = field(default_factory=list)
    """Of all dispatchers; those of this site write to the first one, if there is one."""
    impatience: float = DEADLINE
    """Seconds until a drill is judged though something is still under way."""

    def settings(self, link: Link | None = None, **more: Any) -> dict[str, Any]:
        """Give the settings of a dispatcher."""
        values = {
            "REDIS_URL": (link or self.redis).url,
            "BULLQ_PREFIX": self.prefix,
            "BULLQ_DISPATCH_DEADLINE": "10s",
            "BULLQ_REDIS_TIMEOUT": "150ms",
            "BULLQ_PICKUP_TIMEOUT": "300ms",
            "BULLQ_FALLBACK_RATE": 1_000_000,
            "INNGEST_BASE_URL": f"http://127.0.0.1:{self.inngest.port}",
            "INNGEST_DEV": "1",
        }
        if self.outboxes:
            values["BULLQ_OUTBOX"] = str(self.outboxes[0])
        return {**values, **more}

    @contextlib.asynccontextmanager
    async def dispatcher(self, link: Link | None = None, **more: Any) -> AsyncIterator[Bullq]:
        """Run a dispatcher of this process; it has ended what it began when the block ends."""
        app = new_app(self.settings(link, **more))
        try:
            yield app
        finally:
            await app.aclose()

    def worker(self, **options: Any) -> contextlib.AbstractAsyncContextManager[Any]:
        """Run a worker in this process."""
        return running_worker(self.own, QUEUE, **options)

    async def workers(self, count: int, queue: str = QUEUE) -> None:
        """Wait until so many workers are connected."""
        keys = self.own.queue(queue).keys
        async with asyncio.timeout(DEADLINE):
            while await live_workers(self.own.store, keys) != count:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(_LOOK_AGAIN)

    async def begun(self, count: int) -> None:
        """Wait until so many jobs have begun."""
        async with asyncio.timeout(DEADLINE):
            while len(jobs_that(self.history.entries(), STARTED)) < count:  # noqa: ASYNC110 - same
                await asyncio.sleep(_LOOK_AGAIN)

    @contextlib.asynccontextmanager
    async def worker_process(self, kind: str) -> AsyncIterator[Process]:
        """Run a worker in a process of its own: bullq, python, bullmq (Node) or bullmq5."""
        if kind in {"bullq", "python"}:
            module = [sys.executable, "-m", "tests.drills.worker_process", kind, self.server.url]
            command = [*module, self.prefix, str(self.history.path)]
        else:
            script = ["node", str(_HERE / "worker.mjs"), kind, str(self.server.port)]
            command = [*script, self.prefix, str(self.history.path)]
        process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def kill(self, process: Process) -> None:
        """Kill a process, and write that down once it is no more."""
        process.kill()
        await process.wait()
        self.history.note(KILLED, victim=process.pid)

    async def judged(self, queue: str = QUEUE) -> Verdict:
        """Judge the drill once nothing is under way anywhere, or patience has ended."""
        until = asyncio.get_running_loop().time() + self.impatience
        while left := await self._under_way(queue):
            if asyncio.get_running_loop().time() > until:
                for job_id, where in left:
                    self.history.note(LEFT, job_id, where=where)
                break
            await asyncio.sleep(_LOOK_AGAIN)
        return judge(self.history.entries())

    def failures(self) -> Counter[str]:
        """Count why runs have failed at Inngest, whose server then gives up."""
        runs = self.double.runs.all
        return Counter(str(run.output)[:300] for run in runs if run.status == "Failed")

    async def _under_way(self, queue: str) -> list[tuple[str, str]]:
        """Name some jobs and their places, in the order in which they go from one to the next."""
        found: list[tuple[str, str]] = []
        for path in filter(Path.exists, self.outboxes):
            outbox = Outbox(path)
            found += [(job.id, "outbox") for job in await outbox.jobs(limit=_MOST_NAMED)]
            await outbox.aclose()
        keys = self.own.queue(queue).keys
        async with redis.asyncio.Redis.from_url(self.server.url, decode_responses=True) as client:
            pipeline = client.pipeline()
            for name in _LISTS:
                pipeline.lrange(keys.key(name), 0, _MOST_NAMED)
            for name in _ZSETS:
                pipeline.zrange(keys.key(name), 0, _MOST_NAMED)
            told = await pipeline.execute()
        for place, job_ids in zip(_LISTS + _ZSETS, told, strict=True):
            found += [(job_id, place) for job_id in job_ids]
        runs = self.double.runs.all
        return found + [(run.event["id"], "inngest") for run in runs if not run.ended.is_set()]


@contextlib.asynccontextmanager
async def site(
    server: RedisServer, prefix: str, history: History, *, speed: float = 20
) -> AsyncIterator[Site]:
    """Build a site on a running server; time at Inngest passes with *speed*."""
    async with contextlib.AsyncExitStack() as stack:
        # Sweepers and dispatchers of the same job meet more often than they usually would.
        stack.enter_context(patch.dict(Arbiter.sweep.__kwdefaults__, grace_ms=_GRACE_MS))
        double = await stack.enter_async_context(InngestDouble(speed=speed).running())
        target = urlsplit(double.url).port
        assert target is not None
        inngest = await stack.enter_async_context(linked(target, cutter=Chunks))
        link = await stack.enter_async_context(linked(server.port))
        own = new_app(
            {
                "REDIS_URL": server.url,
                "BULLQ_PREFIX": prefix,
                "INNGEST_BASE_URL": double.url,
                "INNGEST_DEV": "1",
                "BULLQ_FALLBACK_RATE": 1_000_000,
            }
        )
        stack.push_async_callback(own.aclose)
        web = asgi(own)
        url = await stack.enter_async_context(serving(web))
        web.state.bullq.registration.reach_at(f"{url}/api/inngest")
        found = await web.state.bullq.registration.registered()
        assert found.ready, found.reason
        yield Site(server, prefix, history, double, link, inngest, own, stack)


class Dispatchers:
    """Dispatchers in processes of their own, all forked from one (dispatcher_process.py)."""

    def __init__(self, process: Process, site: Site) -> None:
        self._process = process
        self._site = site
        self._began: asyncio.Queue[int] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._turn = asyncio.Lock()

    async def start(self, order: Order) -> int:
        """Start one and give its pid."""
        assert self._process.stdin is not None
        line = {name: value for name, value in asdict(order).items() if value is not None}
        async with self._turn:
            self._process.stdin.write(json.dumps(line, default=str).encode() + b"\n")
            async with asyncio.timeout(DEADLINE):
                return await self._began.get()

    async def ended(self, pid: int) -> bool:
        """Wait for one to end; tell whether it ended by itself, and write down where not."""
        async with asyncio.timeout(DEADLINE):
            status = await self._end_of(pid)
        if not status:
            return True
        assert os.WIFSIGNALED(status), f"a dispatcher has failed: {status}"
        self._site.history.note(KILLED, victim=pid)
        return False

    async def kill(self, pid: int) -> None:
        """Kill one, and wait until it is no more."""
        os.kill(pid, signal.SIGKILL)
        await self.ended(pid)

    async def stop(self, pid: int) -> None:
        """Have one that stays end in order."""
        os.kill(pid, signal.SIGTERM)
        assert await self.ended(pid)

    async def read(self) -> None:
        """Hear of what begins and ends, until the process that forks them has ended."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "began" in told:
                self._began.put_nowait(told["began"])
            else:
                self._end_of(told["ended"]).set_result(told["status"])

    def _end_of(self, pid: int) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        return self._ended.setdefault(pid, loop.create_future())


@contextlib.asynccontextmanager
async def dispatchers(site: Site) -> AsyncIterator[Dispatchers]:
    """Have dispatchers in processes for as long as the context lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.drills.dispatcher_process", str(site.history.path)),
        stdin=PIPE,
        stdout=PIPE,
        cwd=_ROOT,
    )
    made = Dispatchers(process, site)
    reading = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(DEADLINE):
            await process.wait()
            await reading


async def caught(
    fault: str, drill: Callable[[], Awaitable[Verdict]], *, most_rounds: int = 20
) -> bool:
    """Repeat a *drill* of chance until it shows *fault*: a few jobs need not meet it at once."""
    for _ in range(most_rounds):
        if fault in (await drill()).faults:
            return True
    return False


def say(line: object) -> None:
    """Write a line that pytest shows where the drill fails."""
    sys.stdout.write(f"{line}\n")


_NUMBERS = itertools.count(1)


def job_ids(count: int, name: str = "job") -> list[str]:
    """Make ids that no other drill of this process has."""
    return [f"{name}-{next(_NUMBERS)}" for _ in range(count)]

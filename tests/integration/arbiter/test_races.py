"""Races: jobs are settled at random moments while workers of every client claim them.

Judged by the queue's own event stream: every claim, by any client, is an `active` event there.
BULLQ_TEST_RACES=12500 takes that many jobs for each of the eight races in place of the usual 2,500.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import bullmq
import pytest
from pydantic import BaseModel

from bullq import Bullq, QueueSpec, job
from bullq.protocol.options import JobOptions
from bullq.settings import Settings
from bullq.store.adding import JobKind, NewJob
from bullq.store.arbiter import Adding, Confirmation, Unsettled, Verdict
from tests.integration.arbiter.conftest import Bench
from tests.interop.node_side import NodeProcess, NodeSide
from tests.support.deadline import DEADLINE
from tests.support.no_silent_skips import NODE, need
from tests.support.servers import RedisServer
from tests.support.workers import running_worker

_log = logging.getLogger(__name__)

JOBS = int(os.environ.get("BULLQ_TEST_RACES", "2500"))
BATCH = 50
CONCURRENCY = 20
KEEP: JobOptions = {"removeOnComplete": {"count": 100}}
KINDS = [
    JobKind("race", KEEP),
    JobKind("race", {**KEEP, "priority": 3}),
    JobKind("race", {**KEEP, "delay": 5}),
    JobKind("race", {"removeOnComplete": True}),
]

Workers = Callable[[Bench, RedisServer, Path], AbstractAsyncContextManager[None]]


class Nothing(BaseModel):
    pass


@job(queue="default", name="race")
async def race(_data: Nothing) -> None:
    """Do nothing."""


@contextlib.asynccontextmanager
async def ours(bench: Bench, server: RedisServer, _: Path) -> AsyncIterator[None]:
    settings = Settings(REDIS_URL=server.url, BULLQ_PREFIX=bench.keys.prefix)
    spec = QueueSpec(name="default", concurrency=CONCURRENCY)
    app = Bullq(jobs=[race], queues=[spec], settings=settings)
    async with running_worker(app, "default"):
        yield
    await app.aclose()


@contextlib.asynccontextmanager
async def official(bench: Bench, server: RedisServer, _: Path) -> AsyncIterator[None]:
    async def process(_job: Any, _token: str) -> None:
        """Do nothing."""

    options = {"connection": server.url, "prefix": bench.keys.prefix, "concurrency": CONCURRENCY}
    worker = bullmq.Worker("default", process, options)
    try:
        yield
    finally:
        await worker.close()


def node(package: str) -> Workers:
    @contextlib.asynccontextmanager
    async def run(bench: Bench, server: RedisServer, folder: Path) -> AsyncIterator[None]:
        need(NODE)
        process = NodeProcess(package, server.port, folder)
        try:
            await NodeSide(process, bench.keys.prefix).work("default", concurrency=CONCURRENCY)
            yield
        finally:
            process.kill()

    return run


WORKERS = {"bullq": ours, "python": official, "node-6": node("bullmq"), "node-5": node("bullmq5")}


class Race:
    """Adds jobs, and settles some before they come and others while workers claim them."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.chance = random.Random(seed)
        self.ids = [f"job-{number}" for number in range(JOBS)]
        self.verdicts: dict[str, set[Verdict]] = {job_id: set() for job_id in self.ids}
        self.late: set[str] = set()
        """Jobs that were routed before they came."""

    async def add(self, ids: list[str]) -> None:
        adds = await self.bench.arbiter.add_confirmed(
            [NewJob(self.chance.choice(KINDS), job_id, "{}") for job_id in ids],
            Confirmation("racer", 60_000),
        )
        assert adds.added is not None
        for job_id, added in zip(ids, adds.added, strict=True):
            assert added.outcome in {Adding.ADDED, Adding.ROUTED}
            if added.outcome is Adding.ROUTED:
                self.late.add(job_id)

    async def settle(self, ids: list[str]) -> None:
        settling = await self.bench.arbiter.settle([Unsettled(id=one, name="race") for one in ids])
        for job_id, settled in zip(ids, settling.settled, strict=True):
            self.verdicts[job_id].add(settled.verdict)

    async def run(self) -> None:
        """Go through all jobs in batches; less than half of them are settled on the way."""
        unsettled: list[str] = []
        for start in range(0, JOBS, BATCH):
            ids = self.ids[start : start + BATCH]
            early = [one for one in ids if self.chance.random() < 0.05]
            await self.settle(early)
            added = asyncio.create_task(self.add(ids))
            if self.chance.random() < 0.5:
                await asyncio.sleep(self.chance.random() * 0.004)
            unsettled += [one for one in ids if one not in early]
            # The newest are the ones that workers are at.
            count = self.chance.randrange(BATCH * 4 // 5)
            some = self.chance.sample(unsettled[-2 * BATCH :], count) if start else []
            unsettled = [one for one in unsettled if one not in some]
            await self.settle(some)
            await added

    async def starts(self) -> Counter[str]:
        """Wait until nothing waits or runs any more, and count how often each job was begun."""
        client, keys = self.bench.client, self.bench.keys
        held = [keys.key(name) for name in ("wait", "prioritized", "delayed", "active")]
        async with asyncio.timeout(DEADLINE):
            # Workers of other clients tell nobody here; the server keeps what is left.
            while await client.exists(*held):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        events = await client.xrange(keys.key("events"))
        return Counter(entry["jobId"] for _, entry in events if entry["event"] == "active")


@pytest.mark.slow
@pytest.mark.parametrize("workers", list(WORKERS))
async def test_every_job_runs_on_one_engine_once(
    bench: Bench, server: RedisServer, workers: str, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    _log.info("seed %d", seed)
    await bench.client.hset(bench.keys.key("meta"), "opts.maxLenEvents", 100 * JOBS)
    contest = Race(bench, seed)
    async with WORKERS[workers](bench, server, tmp_path):
        await contest.run()
        starts = await contest.starts()
        await contest.settle(contest.ids)  # whoever asks later is told the same
    for verdicts in contest.verdicts.values():
        # A record may have been trimmed between two questions.
        assert len(verdicts) == 1 or verdicts == {Verdict.PICKED, Verdict.GONE}
    routed = {one for one, said in contest.verdicts.items() if Verdict.ROUTED in said}
    _log.info("%d routed, %d before they came", len(routed), len(contest.late))
    assert not routed & starts.keys(), "on both engines"
    assert routed | starts.keys() == set(contest.ids), "some on neither"
    assert max(starts.values()) == 1, "twice"
    assert contest.late <= routed
    # A race that only one side wins proves nothing.
    assert min(len(routed), len(starts)) > JOBS * 0.05

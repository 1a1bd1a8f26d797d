"""Workers come and go under load: each job is completed once, none stalls, none pays for it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import redis
from pydantic import BaseModel

from bullq import Bullq, Context, QueueSpec, job
from bullq.protocol.record import JobRecord
from bullq.telemetry.hooks import JobEvent, Observer
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker

QUEUES = ("default", "data-sync", "scheduled")
ROOT = Path(__file__).parents[3]


class Number(BaseModel):
    n: int = 0


def start_worker(queue: str, server: RedisServer, prefix: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.worker.worker_process", queue],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": server.url, "BULLQ_PREFIX": prefix},
        stderr=subprocess.PIPE,
        text=True,
    )


async def attempts(app: Bullq, queue: str, ids: list[str]) -> list[tuple[int, int]]:
    """Give each job's attempts made and stalls."""
    live = app.queue(queue)
    pipe = live.store.client().pipeline(transaction=False)
    for one in ids:
        pipe.hgetall(live.keys.job(one))
    records = [
        JobRecord(one, fields) for one, fields in zip(ids, await pipe.execute(), strict=True)
    ]
    return [(record.attempts_made, record.stalled_count) for record in records]


async def test_a_worker_that_is_stopped_as_a_job_ends_begins_no_other(
    make_app: AppFactory,
) -> None:
    """Though the call that records the one brings the next."""
    began: list[int] = []

    async def work(data: Number) -> None:
        began.append(data.n)

    app = make_app(job(queue="default", name="work")(work))
    receipts = [await app.jobs.find("default", "work").dispatch(Number(n=n)) for n in range(3)]

    class Stopper(Observer):
        def job_completed(self, job: JobEvent) -> None:
            worker.stop()

    worker = app.worker("default", Stopper(), concurrency=1)
    async with asyncio.timeout(DEADLINE):
        await worker.run()
    assert began == [0]
    assert [await receipt.status() for receipt in receipts] == ["completed", "waiting", "waiting"]
    assert await attempts(app, "default", [receipt.id for receipt in receipts[1:]]) == [(0, 0)] * 2


async def test_1_000_jobs_per_queue_outlive_a_worker_that_is_stopped_in_the_middle(
    make_app: AppFactory,
) -> None:
    """The first workers have a drain timeout of nothing, so that running jobs go back."""
    ended: Counter[str] = Counter()

    async def work(data: Number, ctx: Context) -> int:
        # Long enough that some run when the worker stops.
        await asyncio.sleep(0.02 if data.n % 10 == 0 else 0)
        ended[ctx.job_id] += 1
        return data.n

    jobs = [job(queue=queue, name="work", attempts=1)(work) for queue in QUEUES]
    app = make_app(*jobs)
    ids: dict[str, list[str]] = {}
    for one in jobs:
        receipts = await one.dispatch_many([Number(n=n) for n in range(1_000)])
        ids[one.queue] = [receipt.id for receipt in receipts]
    returned = 0
    for queue in QUEUES:
        async with running_worker(app, queue, drain_timeout=0) as (worker, first):
            await first.wait_for("job_completed", 300)
            worker.stop()
            [stopped] = await first.wait_for("worker_stopped")
        returned += stopped.arguments[1]
        before = first.counts["job_completed"]
        assert 300 <= before < 1_000
        async with running_worker(app, queue, concurrency=50) as (_, second):
            await second.wait_for("job_completed", 1_000 - before)
        assert not first.all("jobs_stalled") + second.all("jobs_stalled")
        live = app.queue(queue)
        assert await live.store.client().zcard(live.keys.key("completed")) == 1_000
        assert set(await attempts(app, queue, ids[queue])) == {(1, 0)}
    assert returned > 0
    assert set(ended.values()) == {1}
    assert len(ended) == 3_000


async def test_three_worker_processes_share_3_000_jobs_and_run_none_twice(
    make_app: AppFactory, valkey: RedisServer, prefix: str
) -> None:
    """One of them is told to stop in the middle, as a container engine does it."""

    @job(queue="default", name="note")
    async def note(data: Number) -> None:
        raise NotImplementedError("runs in other processes")

    app = make_app(note, BULLQ_QUEUES={"default": {"keep_completed": 3_000}})
    receipts = await note.dispatch_many([Number(n=n) for n in range(3_000)])
    processes = [start_worker("default", valkey, prefix) for _ in range(3)]
    try:
        with redis.Redis.from_url(valkey.url, decode_responses=True, socket_timeout=None) as client:
            for process in processes:
                # Each waits for the others, so that all three share the jobs.
                assert client.blpop(f"{prefix}:ready", 30) is not None, process.poll()
            client.rpush(f"{prefix}:go", *["go"] * 3)
            async with asyncio.timeout(DEADLINE):
                while held_by_all(client.hgetall(f"{prefix}:shares")) < 30:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # other processes tell nobody here
                client.set(f"{prefix}:open", "yes")
                while client.zcard(f"{prefix}:default:completed") < 1_000:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # other processes tell nobody here
                processes[0].send_signal(signal.SIGTERM)
                while client.zcard(f"{prefix}:default:completed") < 3_000:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                _, errors = await asyncio.to_thread(process.communicate, timeout=DEADLINE)
                assert process.returncode == 0, errors
            runs = client.hgetall(f"{prefix}:runs")
            shares = client.hgetall(f"{prefix}:shares")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert runs == {str(n): "1" for n in range(3_000)}
    assert len(shares) == 3
    assert min(map(int, shares.values())) > 10, "one has run no more than its first jobs"
    found = await attempts(app, "default", [receipt.id for receipt in receipts])
    assert set(found) == {(1, 0)}


def held_by_all(shares: dict[str, str]) -> int:
    """Count the jobs that have begun while none may end: each process has slots for ten."""
    return sum(map(int, shares.values()))


async def test_a_worker_that_is_killed_leaves_its_jobs_to_the_others(
    make_app: AppFactory, valkey: RedisServer, prefix: str
) -> None:
    """By lock duration and stalled check, of a second each; it spends no attempt."""

    @job(queue="short", name="holds")
    async def holds(data: Number, ctx: Context) -> int:
        return ctx.job_attempt

    app = make_app(holds, queues=[QueueSpec(name="short", lock_duration=1, stalled_interval=1)])
    receipt = await holds.dispatch(Number())
    process = start_worker("short", valkey, prefix)
    try:
        with redis.Redis.from_url(valkey.url, decode_responses=True, socket_timeout=None) as client:
            assert client.blpop(f"{prefix}:ready", 30) is not None
            client.rpush(f"{prefix}:go", "go")
            assert await asyncio.to_thread(client.blpop, f"{prefix}:held", 30) is not None
    finally:
        process.kill()
        process.communicate()
    recorder: Recorder
    async with running_worker(app, "short") as (_, recorder):
        assert await receipt.result(timeout=DEADLINE) == 1
        assert len(recorder.all("jobs_stalled")) == 1
    assert await attempts(app, "short", [receipt.id]) == [(1, 1)]


async def test_a_worker_that_is_cancelled_leaves_no_job_running(make_app: AppFactory) -> None:
    """Its locks end, and another worker begins the job anew: two must not run it then."""
    began, ended = asyncio.Event(), asyncio.Event()

    @job(queue="default", name="endless")
    async def endless(data: Number) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    app, recorder = make_app(endless), Recorder()
    running = asyncio.create_task(app.worker("default", recorder).run())
    await endless.dispatch(Number())
    await asyncio.wait_for(began.wait(), DEADLINE)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(ended.wait(), DEADLINE)
    await recorder.wait_for("job_lost")

"""The drop-in worker has none of the official worker's defects; each test bears its number."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import bullmq

from bullq import Worker
from tests.support.deadline import DEADLINE
from tests.support.dropin import Bench, Events, idle
from tests.support.servers import RedisServer


async def test_w7_a_listener_that_raises_harms_nobody(bench: Bench) -> None:
    def broken(*_: Any) -> None:
        raise LookupError("the listener's own fault")

    async def broken_later(*_: Any) -> None:
        raise LookupError("the listener's own fault, later")

    async def process(job: bullmq.Job, _token: str) -> str:
        await job.updateProgress(1)
        if job.data == {"fails": True}:
            raise ValueError("no")
        return "yes"

    worker, events = bench.worker(process)
    for event in ("active", "progress", "completed", "failed", "error"):
        worker.on(event, broken)
    worker.on("completed", broken_later)
    good, bad = await bench.add(), await bench.add({"fails": True})
    await events.wait_for("completed")
    await events.wait_for("failed")
    errors = await events.wait_for("error", 7)

    assert (await bench.stored(good))["returnvalue"] == '"yes"'
    assert await bad.isFailed()
    assert {str(error) for (error,) in errors} == {
        "the listener's own fault",
        "the listener's own fault, later",
    }
    assert "raised by a listener to 'active' events" in errors[0][0].__notes__


async def test_w8_a_plain_function_runs_once_in_a_thread(bench: Bench) -> None:
    ran: list[Any] = []

    def process(job: bullmq.Job, _token: str) -> str:
        ran.append((job.data, threading.current_thread() is threading.main_thread()))
        return "from a thread"

    _, events = bench.worker(process)
    job = await bench.add({"n": 1}, attempts=3)
    await events.wait_for("completed")
    assert ran == [({"n": 1}, False)]
    assert (await bench.stored(job))["returnvalue"] == '"from a thread"'


async def test_w6_a_job_that_raises_cancelled_error_fails_alone(bench: Bench) -> None:
    async def process(job: bullmq.Job, _token: str) -> None:
        if job.data["cancels"]:
            raise asyncio.CancelledError

    _, events = bench.worker(process)
    cancelled = await bench.add({"cancels": True})
    await bench.add({"cancels": False})
    await events.wait_for("completed")
    assert "cancelled from within" in (await bench.stored(cancelled))["failedReason"]


async def test_w12_a_result_that_json_cannot_hold_fails_once_and_says_its_type(
    bench: Bench,
) -> None:
    async def process(_job: bullmq.Job, _token: str) -> object:
        return {1, 2}

    _, events = bench.worker(process)
    job = await bench.add(attempts=5)
    await events.wait_for("failed")
    assert await job.isFailed()
    reason = (await bench.stored(job))["failedReason"]
    assert reason.startswith("the job ran, but JSON cannot hold its result of type 'set'")


async def test_w14_a_corrupt_payload_fails_once(bench: Bench) -> None:
    async def process(job: bullmq.Job, _token: str) -> None:
        _ = job.data["n"]

    job = await bench.add({"n": 1}, attempts=5, delay=200)
    await bench.client.hset(f"{bench.base}{job.id}", "data", "{broken")
    _, events = bench.worker(process)
    await events.wait_for("failed")
    assert await job.isFailed()
    assert (await bench.stored(job))["failedReason"].startswith("the job's field 'data' is no JSON")


async def test_w5_no_two_jobs_share_a_token(bench: Bench) -> None:
    tokens: set[str] = set()
    together = asyncio.Event()

    async def process(_job: bullmq.Job, token: str) -> None:
        tokens.add(token)
        if len(tokens) == 4:
            together.set()
        await together.wait()

    for _ in range(4):
        await bench.add()
    _, events = bench.worker(process, concurrency=4)
    await events.wait_for("completed", 4)
    assert len(tokens) == 4


async def test_w2_a_rate_limit_is_kept_and_wasted_no_time_on(bench: Bench) -> None:
    began: list[float] = []

    async def process(_job: bullmq.Job, _token: str) -> None:
        began.append(time.monotonic())

    for _ in range(5):
        await bench.add()
    _, events = bench.worker(process, limiter={"max": 2, "duration": 300})
    await events.wait_for("completed", 5)
    assert 0.55 < began[-1] - began[0] < 8  # the official worker takes 10


async def test_w20_dashboards_see_the_worker_and_who_ran_a_job(bench: Bench) -> None:
    _, events = bench.worker(idle, name="mine")
    job = await bench.add()
    await events.wait_for("completed")
    assert (await bench.stored(job))["pb"] == "mine"
    names = [client["name"] for client in await bench.client.client_list()]
    [name] = [name for name in names if name.startswith(bench.base.split(":", maxsplit=1)[0])]
    assert name.endswith(":cQ==:w:mine")  # the queue's name in base64


async def test_w10_a_job_whose_lock_is_lost_is_told(bench: Bench) -> None:
    seen: asyncio.Queue[Any] = asyncio.Queue()

    async def process(_job: bullmq.Job, _token: str, signal: bullmq.AbortSignal) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.put_nowait(signal.reason)
            raise

    worker, events = bench.worker(process, lockRenewTime=50)
    failed: asyncio.Queue[list[str]] = asyncio.Queue()
    worker.on("lockRenewalFailed", failed.put_nowait)
    job = await bench.add()
    await events.wait_for("active")
    await bench.client.set(f"{bench.base}{job.id}:lock", "another worker's")
    async with asyncio.timeout(DEADLINE):
        assert await failed.get() == [job.id]
        assert await seen.get() == "its lock is lost"
    [(error,)] = await events.wait_for("error")
    assert str(error) == f"could not finish job {job.id}: its lock is lost"
    assert events.all("failed") == []


async def test_w18_a_queue_s_name_may_have_a_space(valkey: RedisServer, prefix: str) -> None:
    options = {"connection": valkey.url, "prefix": prefix}
    queue = bullmq.Queue("my queue", options)
    worker = Worker("my queue", idle, options)
    events = Events(worker)
    await queue.add("job", {})
    await events.wait_for("completed")
    await worker.close()
    await queue.close()

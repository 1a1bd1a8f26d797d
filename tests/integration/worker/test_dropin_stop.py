"""A drop-in worker begins, pauses and closes as the official one does, and always ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import bullmq
import pytest

from bullq import Worker
from bullq.worker.worker import Worker as Core
from tests.support.deadline import DEADLINE
from tests.support.dropin import Bench, Events, idle
from tests.support.servers import RedisServer


async def test_a_paused_worker_takes_no_jobs(bench: Bench) -> None:
    gate = asyncio.Event()

    async def process(_job: bullmq.Job, _token: str) -> None:
        await gate.wait()

    worker, events = bench.worker(process, concurrency=5)
    await bench.add()
    await events.wait_for("active")
    pausing = asyncio.create_task(worker.pause())
    await asyncio.sleep(0)
    assert worker.isPaused()
    waiting = await bench.add()
    gate.set()
    async with asyncio.timeout(DEADLINE):
        await pausing
    assert len(events.all("completed")) == len(events.all("paused")) == 1
    assert await waiting.getState() == "waiting"
    worker.resume()
    await events.wait_for("completed", 2)
    assert len(events.all("resumed")) == 1
    await worker.pause(do_not_wait_active=True)
    await worker.close()
    assert worker.closed


async def test_a_worker_can_be_paused_before_it_has_begun(bench: Bench) -> None:
    worker, events = bench.worker(idle)
    await worker.pause()
    await events.wait_for("ready")
    job = await bench.add()
    await asyncio.sleep(0.1)  # nothing is told of a job that does not begin
    assert await job.getState() == "waiting"
    worker.resume()
    await events.wait_for("completed")


async def test_close_waits_for_running_jobs(bench: Bench) -> None:
    gate = asyncio.Event()

    async def process(_job: bullmq.Job, _token: str) -> None:
        await gate.wait()

    worker, events = bench.worker(process)
    job, next_one = await bench.add(), await bench.add()
    await events.wait_for("active")
    closing = asyncio.create_task(worker.close())
    done, _ = await asyncio.wait([closing], timeout=0.1)
    assert not done
    gate.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(closing, worker.close())
    assert await job.isCompleted()
    assert await next_one.getState() == "waiting"
    assert [name for name, _ in events.told if name in {"closing", "closed"}] == [
        "closing",
        "closed",
    ]
    await worker.close()


async def test_w13_close_can_be_given_a_time_and_puts_jobs_back_then(bench: Bench) -> None:
    async def process(_job: bullmq.Job, _token: str) -> None:
        await asyncio.Event().wait()

    worker, events = bench.worker(process)
    job = await bench.add(attempts=3)
    await events.wait_for("active")
    async with asyncio.timeout(DEADLINE):
        await worker.close(timeout=0.1)
    assert await job.getState() == "waiting"
    assert (await bench.stored(job)).get("atm", "0") == "0"


async def test_w13_close_can_be_cancelled_and_then_forced(bench: Bench) -> None:
    async def process(_job: bullmq.Job, _token: str) -> None:
        await asyncio.Event().wait()

    worker, events = bench.worker(process)
    await bench.add()
    await events.wait_for("active")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.close(), 0.05)
    assert not worker.closed
    async with asyncio.timeout(DEADLINE):
        await worker.close(force=True)
    assert worker.closed
    assert not worker.isRunning()


async def test_a_job_cannot_wait_for_its_own_end(bench: Bench) -> None:
    async def process(job: bullmq.Job, _token: str) -> None:
        await (worker.close() if job.data["closes"] else worker.pause())

    worker, events = bench.worker(process)
    await bench.add({"closes": True})
    await bench.add({"closes": False})
    (_, closed), (_, paused) = await events.wait_for("failed", 2)
    assert "asyncio.create_task(worker.close())" in str(closed)
    assert "asyncio.create_task(worker.pause())" in str(paused)


async def test_what_a_forced_close_leaves_is_taken_back_by_the_next_worker(bench: Bench) -> None:
    seen: list[Any] = []

    async def hangs(_job: bullmq.Job, _token: str, signal: bullmq.AbortSignal) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(signal.reason)

    worker, events = bench.worker(hangs, lockDuration=1000)
    job = await bench.add()
    await events.wait_for("active")
    await worker.close(force=True)
    assert seen == ["worker force-closed"]
    assert await job.isActive()
    assert events.all("failed") == events.all("error") == []

    _, events = bench.worker(idle, stalledInterval=400)
    assert await events.wait_for("stalled") == [(job.id,)]
    await events.wait_for("completed")
    assert (await bench.stored(job))["stc"] == "1"


async def test_jobs_can_be_taken_by_hand(bench: Bench) -> None:
    worker, events = bench.worker(None)
    added = await bench.add({"n": 1})
    job = await worker.getNextJob("my token")
    assert (job.id, job.data) == (added.id, {"n": 1})
    assert events.all("active") == [(job, "waiting")]
    await job.moveToCompleted("by hand", "my token")
    assert (await bench.stored(added))["returnvalue"] == '"by hand"'
    assert await worker.getNextJob("my token") is None
    for end in (worker.pause, worker.close):
        waiting = asyncio.create_task(worker.getNextJob("my token"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(DEADLINE):
            await end()
            assert await waiting is None


async def test_w1_who_takes_jobs_by_hand_can_wait_longer_than_a_command_may_take(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.store.connection.COMMAND_TIMEOUT", 1.0)
    worker, _ = bench.worker(None, drainDelay=60)
    assert await worker.getNextJob("my token") is None
    waiting = asyncio.create_task(worker.getNextJob("my token"))
    done, _ = await asyncio.wait([waiting], timeout=1.3)
    assert not done
    added = await bench.add()
    async with asyncio.timeout(DEADLINE):
        job = await waiting
    assert job.id == added.id


async def test_it_runs_when_it_is_told_to(bench: Bench) -> None:
    worker, events = bench.worker(idle, autorun=False)
    job = await bench.add()
    await asyncio.sleep(0.05)
    assert not worker.isRunning()
    assert await job.getState() == "waiting"
    running = asyncio.create_task(worker.run())
    await events.wait_for("completed")
    assert worker.isRunning()
    with pytest.raises(RuntimeError, match="already running"):
        await worker.run()
    await worker.close(force=True)
    async with asyncio.timeout(DEADLINE):
        await running


async def test_a_cancelled_run_ends(bench: Bench) -> None:
    worker, events = bench.worker(idle, autorun=False)
    running = asyncio.create_task(worker.run())
    await events.wait_for("ready")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(running, DEADLINE)
    assert running.cancelled()
    assert not worker.isRunning()


async def test_w17_an_outage_at_the_start_is_told_and_outlasted(own_server: RedisServer) -> None:
    url = own_server.url
    own_server.kill()
    worker = Worker("q", idle, {"connection": url})
    events = Events(worker)
    [(error,)] = await events.wait_for("error")
    assert str(error).startswith("No Redis at ")
    own_server.start()
    await events.wait_for("ready")
    queue = bullmq.Queue("q", {"connection": url})
    await queue.add("job", {})
    await events.wait_for("completed")
    assert len(events.all("error")) == 1
    await worker.close()
    await queue.close()


async def test_its_loop_begins_anew_after_an_error_that_nobody_foresaw(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, began = Core.run, []

    async def broken_at_first(core: Core) -> None:
        began.append(core)
        if len(began) == 1:
            raise LookupError("unforeseen")
        await run(core)

    monkeypatch.setattr(Core, "run", broken_at_first)
    worker, events = bench.worker(idle)
    await bench.add()
    await events.wait_for("completed")
    assert [str(error) for (error,) in events.all("error")] == ["unforeseen"]
    await worker.close()


async def test_an_outcome_that_cannot_be_recorded_does_not_keep_it_from_closing(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.worker.dropin.worker._RECORD_DEADLINE", 0.3)
    gate = asyncio.Event()

    async def process(_job: bullmq.Job, _token: str) -> None:
        await gate.wait()

    worker = Worker("q", process, {"connection": own_server.url})
    events = Events(worker)
    queue = bullmq.Queue("q", {"connection": own_server.url})
    await queue.add("job", {})
    await events.wait_for("active")
    await queue.close()
    own_server.kill()
    gate.set()
    async with asyncio.timeout(DEADLINE):
        await worker.close()
    assert not worker.isRunning()
    assert events.all("completed") == []


async def test_an_outage_at_the_end_does_not_keep_it_from_closing(own_server: RedisServer) -> None:
    worker = Worker("q", idle, {"connection": own_server.url})
    events = Events(worker)
    await events.wait_for("ready")
    own_server.kill()
    async with asyncio.timeout(DEADLINE):
        await worker.close()
    assert worker.closed


async def test_it_is_made_where_a_loop_runs_or_told_not_to_run() -> None:
    def make(**options: Any) -> Worker:
        return Worker("q", idle, {"connection": "redis://localhost:1", **options})

    assert not make(autorun=False).running
    with pytest.raises(Exception, match="'autorun': False and await its run"):
        await asyncio.to_thread(make)

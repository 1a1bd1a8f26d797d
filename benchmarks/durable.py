"""Measure durable jobs: steps a second in one worker, and jobs by the thousand that sleep.

python -m benchmarks.durable                      both, about two minutes
python -m benchmarks.durable --sleepers 1000      fewer sleepers
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.server import running
from bullq import Bullq, Context, Keep, QueueSpec, job
from bullq.settings import Settings
from bullq.telemetry.hooks import Observer

QUEUE = "default"
STEPS = 10
CONCURRENCY = 50
STEP_JOBS = 500
LEAD = 5.0  # seconds from when all sleepers sleep until the first wakes


class Number(BaseModel):
    """What a job of a run is told."""

    n: int = 0
    wake_at: float = 0.0


async def _nothing() -> int:
    return 1


def _nothing_in_a_thread() -> int:
    return 1


@job(queue=QUEUE)
async def ten_steps(data: Number, ctx: Context) -> int:
    """Make ten steps that do nothing: coroutine functions, or with n ordinary ones."""
    function: Any = _nothing_in_a_thread if data.n else _nothing
    return sum([await ctx.run(f"step {n}", function) for n in range(STEPS)])


_late: list[float] = []


@job(queue=QUEUE)
async def sleeper(data: Number, ctx: Context) -> None:
    """Sleep until a time, and note how long after it this goes on."""
    await ctx.sleep_until("sleep", datetime.fromtimestamp(data.wake_at, UTC))
    _late.append(time.time() - data.wake_at)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durable", description=__doc__)
    parser.add_argument("--sleepers", type=int, default=10_000, help="how many jobs sleep")
    parser.add_argument("--rate", type=int, default=100, help="how many of them wake a second")
    parser.add_argument("--produce", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if wanted.produce:
        url, first = wanted.produce
        asyncio.run(_produce(url, float(first), wanted.sleepers, wanted.rate))
        return
    with running(None) as server:
        _say(f"server: {server.version}")
        for in_threads in (0, 1):
            server.empty()
            asyncio.run(_measure_steps(server.url, in_threads))
        server.empty()
        asyncio.run(_measure_sleepers(server.url, wanted.sleepers, wanted.rate))


async def _measure_steps(url: str, in_threads: int) -> None:
    app = _app(url)
    await ten_steps.dispatch_many([Number(n=in_threads)] * STEP_JOBS)
    began = time.perf_counter()
    await app.worker(QUEUE, Observer()).run(burst=True)
    rate = STEP_JOBS * STEPS / (time.perf_counter() - began)
    kind = "ordinary functions, in threads" if in_threads else "coroutine functions"
    _say(f"{kind}: {rate:,.0f} steps/s at concurrency {CONCURRENCY}, {STEPS} steps a job")
    await app.aclose()


async def _measure_sleepers(url: str, count: int, rate: int) -> None:
    app = _app(url)
    worker = app.worker(QUEUE, Observer())
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(1)
    idle_mb = _resident_mb()
    began = time.perf_counter()
    first = time.time() + count / 1_000 + LEAD
    # From a process of its own: what the producer keeps in memory is none of the worker's.
    producer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.durable", "--produce", url, str(first)),
        *("--sleepers", str(count), "--rate", str(rate)),
    )
    await producer.wait()
    await _until(app, lambda counts: counts["delayed"] == count, deadline=count / 100 + 30)
    counts = await _counts(app)
    _say(f"{count:,} jobs asleep after {time.perf_counter() - began:.1f} s: {counts}")
    _say(f"resident set: {idle_mb:.0f} MB idle, {_resident_mb():.0f} MB with all asleep")
    began_late = time.time() - first
    await _until(app, lambda counts: counts["completed"] == count, deadline=count / rate + 60)
    late = sorted(_late)
    _say(
        f"woke at {rate}/s, {len(late):,} of {count:,}: "
        f"p50 {_at(late, 0.5):.1f} ms late, p99 {_at(late, 0.99):.1f} ms, "
        f"at most {late[-1] * 1000:.1f} ms, at least {late[0] * 1000:.1f} ms "
        f"(all slept {-began_late:.1f} s before the first was due)"
    )
    _say(f"resident set: {_resident_mb():.0f} MB at the end")
    worker.stop()
    await task
    await app.aclose()


async def _produce(url: str, first: float, count: int, rate: int) -> None:
    app = _app(url)
    await sleeper.dispatch_many([Number(wake_at=first + n / rate) for n in range(count)])
    await app.aclose()


def _app(url: str) -> Bullq:
    return Bullq(
        jobs=[ten_steps, sleeper],
        queues=[QueueSpec(name=QUEUE, concurrency=CONCURRENCY, keep_completed=Keep())],
        settings=Settings(REDIS_URL=url),  # type: ignore[call-arg] # the rest has defaults
    )


async def _counts(app: Bullq) -> dict[str, int]:
    counts: dict[str, int] = await app.queue(QUEUE).live.getJobCounts(
        "active", "delayed", "wait", "completed"
    )
    return counts


async def _until(app: Bullq, reached: Any, *, deadline: float) -> None:
    async with asyncio.timeout(deadline):
        while not reached(await _counts(app)):  # noqa: ASYNC110 - of another process, too
            await asyncio.sleep(0.25)


def _at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] * 1000


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1024 / 1024


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

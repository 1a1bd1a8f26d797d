"""A worker as a process of its own: waits for the others, works until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import redis.asyncio
from pydantic import BaseModel

from bullq import Bullq, Observer, QueueSpec, job


class Number(BaseModel):
    n: int = 0


@job(queue="default", name="note")
async def note(data: Number) -> None:
    """Count the run, and who ran it; both outlive the process. The first runs wait for all."""
    client = app.store.client()
    await client.hincrby(f"{app.settings.prefix}:runs", str(data.n), 1)
    await client.hincrby(f"{app.settings.prefix}:shares", str(os.getpid()), 1)
    while not await client.exists(f"{app.settings.prefix}:open"):  # noqa: ASYNC110 - see below
        await asyncio.sleep(0.02)  # other processes tell nobody here


@job(queue="short", name="holds")
async def holds(data: Number) -> None:
    """Tell that it runs, and end with its process only."""
    await app.store.client().rpush(f"{app.settings.prefix}:held", "held")
    await asyncio.sleep(3600)


SHORT = QueueSpec(name="short", lock_duration=1, stalled_interval=1)

app = Bullq(jobs=[note, holds], queues=[SHORT])


async def main(queue: str) -> None:
    async with redis.asyncio.from_url(app.store.url, socket_timeout=None) as client:
        await client.rpush(f"{app.settings.prefix}:ready", os.getpid())
        assert await client.blpop(f"{app.settings.prefix}:go", 30) is not None
    worker = app.worker(queue, Observer(), concurrency=10)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    await app.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

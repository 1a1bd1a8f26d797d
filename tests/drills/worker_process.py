"""A worker in a process of its own, made to be killed: `... KIND URL PREFIX HISTORY`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import bullmq

from bullq import Observer
from tests.drills.history import FINISHED, STARTED
from tests.drills.jobs import QUEUE, new_app, write_to

LOCK = 1.0  # seconds, so that what a dead worker held is soon taken back


async def ours(url: str, prefix: str, history: Path) -> None:
    write_to(history)
    app = new_app(
        {"REDIS_URL": url, "BULLQ_PREFIX": prefix}, lock_duration=LOCK, stalled_interval=LOCK
    )
    worker = app.worker(QUEUE, Observer())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    await app.aclose()


async def official(url: str, prefix: str, history: Path) -> None:
    page = write_to(history)

    async def process(job: Any, _token: str) -> None:
        page.note(STARTED, job.id, "bullmq")
        await asyncio.sleep(job.data.get("pause", 0))
        page.note(FINISHED, job.id, "bullmq")

    options = {"connection": url, "prefix": prefix, "concurrency": 20}
    worker = bullmq.Worker(
        QUEUE,
        process,
        {**options, "lockDuration": LOCK * 1000, "stalledInterval": LOCK * 1000},
    )
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await worker.close()


def main(kind: str, url: str, prefix: str, history: str) -> None:
    run = {"bullq": ours, "python": official}[kind]
    asyncio.run(run(url, prefix, Path(history)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A worker that SIGKILLs itself once at each boundary of a job, and a parent that forks the next.

The parent has everything imported already, so that a death costs no start of Python. It does what
a supervisor does: it takes the dead one's job back by its locks.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path

from pydantic import BaseModel

from bullq import Bullq, Context, QueueSpec, job
from bullq.settings import Settings
from bullq.store.taking_back import ReturnScript
from bullq.telemetry.hooks import JobEvent, Observer
from bullq.worker.worker import Worker

STEPS = 20
# One stall is what a job may have by default: a step that finishes begins the count anew.
QUEUE = QueueSpec(name="mortal", concurrency=1, max_stalled_count=1)


class Place(BaseModel):
    folder: str


@job(queue="mortal")
async def many_steps(place: Place, ctx: Context) -> int:
    folder = Path(place.folder)
    for number in range(STEPS):
        die_once(folder, number)
        await ctx.run(f"step {number}", happen, folder, number)
    die_once(folder, STEPS)
    return STEPS


def happen(folder: Path, number: int) -> None:
    with (folder / "effects").open("a", encoding="ascii") as effects:
        effects.write(f"{number}\n")


def die_once(folder: Path, boundary: int) -> None:
    grave = folder / f"died at {boundary}"
    if not grave.exists():
        grave.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class Last(Observer):
    """Ends the worker once the job has ended."""

    worker: Worker

    def job_completed(self, _: JobEvent) -> None:
        self.worker.stop()

    def job_failed(self, _: JobEvent, reason: str) -> None:
        self.worker.stop()


def application(url: str, prefix: str) -> Bullq:
    settings = Settings(REDIS_URL=url, BULLQ_PREFIX=prefix)  # type: ignore[call-arg]
    return Bullq(jobs=[many_steps], queues=[QUEUE], settings=settings)


async def work(url: str, prefix: str, token_prefix: str) -> None:
    app, observer = application(url, prefix), Last()
    observer.worker = app.worker("mortal", observer, token_prefix=token_prefix)
    await observer.worker.run()
    await app.aclose()


async def take_back(url: str, prefix: str, token_prefix: str) -> None:
    app = application(url, prefix)
    queue = app.queue("mortal")
    script = ReturnScript(queue.store.client(), queue.keys)
    await script.return_held_by(f"{token_prefix}:", QUEUE.max_stalled_count)
    await app.aclose()


def main(url: str, prefix: str) -> int:
    """Fork workers until one ends in order; give how many were killed."""
    killed = 0
    while True:
        token_prefix = secrets.token_hex(8)
        child = os.fork()
        if child == 0:
            asyncio.run(work(url, prefix, token_prefix))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return killed
        killed += 1
        asyncio.run(take_back(url, prefix, token_prefix))


if __name__ == "__main__":
    sys.stdout.write(f"{main(*sys.argv[1:])}\n")

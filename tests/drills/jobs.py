"""The jobs of the drills: each writes into the history when it begins, and when it has ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bullq import Bullq, Context, Job, Observer, QueueSpec, job
from bullq.settings import Settings
from tests.drills.history import DECIDED, FINISHED, STARTED, History

QUEUE = "drill"


class Task(BaseModel):
    pause: float = 0.0
    """Seconds that it takes."""


class Page:
    """The history that the jobs of this process write to."""

    history: History


async def _done(task: Task, ctx: Context) -> None:
    Page.history.note(STARTED, ctx.job_id, ctx.engine)
    await asyncio.sleep(task.pause)
    Page.history.note(FINISHED, ctx.job_id, ctx.engine)


@job(queue=QUEUE)
async def errand(task: Task, ctx: Context) -> None:
    """Stay where live workers come to it; raise where data was lost."""
    await _done(task, ctx)


@job(queue=QUEUE, pickup="started")
async def prompt(task: Task, ctx: Context) -> None:
    """Begin in time, or elsewhere."""
    await _done(task, ctx)


@job(queue=QUEUE, pickup="started", on_data_loss="rerun")
async def again(task: Task, ctx: Context) -> None:
    """Run again where data was lost."""
    await _done(task, ctx)


@job(queue=QUEUE, pickup="started", on_data_loss="drop")
async def optional(task: Task, ctx: Context) -> None:
    """Be dropped where data was lost."""
    await _done(task, ctx)


@job(queue=QUEUE, fallback=False)
async def local(task: Task, ctx: Context) -> None:
    """Stay on BullMQ."""
    await _done(task, ctx)


JOBS: dict[str, Job[Any, Any]] = {one.name: one for one in (errand, prompt, again, optional, local)}


class _Telling(Observer):
    """Writes down how dispatches end."""

    def job_dispatched(self, event: Any) -> None:
        Page.history.note(DECIDED, event.id, event.engine, state=event.state)


def new_app(settings: dict[str, Any], **spec: Any) -> Bullq:
    """Make an application of these jobs; *spec* says how its workers run."""
    queue = QueueSpec(name=QUEUE, **{"concurrency": 20, **spec})
    return Bullq(
        jobs=JOBS.values(), queues=[queue], settings=Settings(**settings), observer=_Telling()
    )


def write_to(path: Path) -> History:
    """Have the jobs of this process write to a history, and give it."""
    Page.history = History(path)
    return Page.history

"""Make the application that is measured: one job, on its queue, under a prefix of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from bullq import Bullq, Job, QueueSpec, job
from bullq.loading import load_app
from bullq.queues.registry import QueueRegistry
from bullq_cli.bench.plan import Kind

if TYPE_CHECKING:
    from bullq.settings import Settings
    from bullq_cli.bench.plan import Load


class Work(BaseModel):
    """What a job of ours is to do: wait *pause* seconds, or turn a loop *turns* times."""

    pause: float = 0.0
    turns: int = 0


async def noop(_: Work) -> None:
    """Do nothing: what is measured is the queue alone."""


async def io(work: Work) -> None:
    """Wait, as for a database or another service."""
    await asyncio.sleep(work.pause)


def cpu(work: Work) -> int:
    """Compute in Python, holding the interpreter's lock."""
    return spin(work.turns)


def spin(turns: int) -> int:
    """Compute for a time that grows with *turns*."""
    total = 0
    for number in range(turns):
        total += number * number % 7
    return total


_OURS = {Kind.NOOP: noop, Kind.IO: io, Kind.CPU: cpu}


def measured_app(settings: Settings, load: Load, prefix: str) -> tuple[Bullq, Job[Any, Any]]:
    """Give an application whose only job is the measured one, and that job.

    Its queue has the options that it has in the user's application, but no rate limit, which
    would be all that is measured. What a job dispatches itself stays under *prefix*, too.
    """
    if load.reference is not None:
        own = load_app(settings)
        measured = own.jobs.find_anywhere(load.reference)
        specs = [own.queues.spec(name) for name in own.queues.names]
    else:
        function: Any = _OURS[load.kind]
        measured = job(queue=load.queue, name=load.kind.value)(function)
        known = QueueRegistry(job_queues=[load.queue, *settings.queues], overrides=settings.queues)
        specs = [known.spec(load.queue)]
    unlimited: list[QueueSpec] = [replace(spec, rate_limit=None) for spec in specs]
    changed = settings.model_copy(update={"prefix": prefix, "queues": {}, "heartbeat_file": None})
    return Bullq(jobs=[measured], queues=unlimited, settings=changed), measured


def payload(load: Load) -> str:
    """Give the data of one measured job as JSON text."""
    if load.kind is Kind.JOB:
        return load.data
    return json.dumps({"pause": load.pause, "turns": load.turns})

"""The job of the interop tests in Python: its data says what it does, as in node/player.mjs."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from pydantic import BaseModel

from bullq import Context, GiveUp, Job, job


class Play(BaseModel):
    """What the job does, in this order; *failures* is how many attempts fail."""

    log: list[str] = []
    progress: Any = None
    pause_ms: int = 0
    give_up: str | None = None
    failures: int = 0
    result: Any = None


async def run(play: Play, ctx: Context) -> Any:
    for row in play.log:
        ctx.log(row)
    if play.progress is not None:
        ctx.progress(play.progress)
    if play.pause_ms:
        await asyncio.sleep(play.pause_ms / 1000)
    if play.give_up is not None:
        raise GiveUp(play.give_up)
    if ctx.job_attempt <= play.failures:
        raise RuntimeError(f"failure {ctx.job_attempt}")
    return play.result


@functools.cache  # reading a job's types takes longer than most of what it is made for
def playing(queue: str = "default", name: str = "play", **policy: Any) -> Job[Play, Any]:
    """Make the job, on any queue and under any name."""
    return job(queue=queue, name=name, **policy)(run)


def holding(queue: str = "default", name: str = "play") -> Job[Play, Any]:
    """Make a job of the same name that begins and never ends."""

    @job(queue=queue, name=name)
    async def hold(play: Play) -> None:
        await asyncio.Event().wait()

    return hold

"""The jobs and queues that the browser tests work with, and the application the board shows."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from bullq import Bullq, Context, QueueSpec, job
from bullq.jobs.retry import Backoff


class Greeting(BaseModel):
    name: str = "world"


class Repair(BaseModel):
    mended: bool = False


class Hold(BaseModel):
    gate: str


class Nothing(BaseModel):
    pass


_gates: dict[str, asyncio.Event] = {}


def gate(name: str) -> asyncio.Event:
    """Give what a running `hold` waits for."""
    return _gates.setdefault(name, asyncio.Event())


def open_gate(name: str) -> None:
    """Let a `hold` end."""
    gate(name).set()


def close_gates() -> None:
    """Forget what an earlier test has opened."""
    _gates.clear()


@job(queue="default")
async def greet(data: Greeting, ctx: Context) -> str:
    ctx.log(f"greeting {data.name}")
    ctx.progress(40)
    return f"Hello, {data.name}!"


@job(queue="default", attempts=2, backoff=Backoff.fixed(0))
async def repair(data: Repair) -> str:
    if not data.mended:
        raise ValueError("the clock has stopped")
    return "it ticks"


@job(queue="default")
async def hold(data: Hold, ctx: Context) -> str:
    ctx.log("waiting at the gate")
    ctx.progress(60)
    await gate(data.gate).wait()
    return "through"


@job(queue="parcels")
async def pack(data: Greeting) -> str:
    return "packed"


@job(queue="data-sync")
async def ship(data: Hold, ctx: Context) -> str:
    ctx.log("weighing")
    await ctx.run("weigh", lambda: 3)
    ctx.progress(30)
    await ctx.invoke("wait at the gate", hold, data)
    ctx.log("through the gate")
    await ctx.sleep("on the road", timedelta(hours=1))
    return "there"


@job(queue="scheduled", every=timedelta(hours=1))
async def tick(data: Nothing) -> str:
    return "tick"


JOBS = [greet, repair, hold, pack, ship, tick]
QUEUES = [QueueSpec(name="parcels", concurrency=5, metrics_for=timedelta(hours=1))]


def make_board_app() -> Bullq:
    """Make the application of the board's process, from its environment."""
    return Bullq(jobs=JOBS, queues=QUEUES)

"""Greets somebody: the job `hello` on the queue `default`."""

from __future__ import annotations

from pydantic import BaseModel

from bullq import Context, job


class Hello(BaseModel):
    name: str = "world"


class Greeting(BaseModel):
    text: str


@job(attempts=3)
async def hello(data: Hello, ctx: Context) -> Greeting:
    """Runs on a worker's event loop; a plain `def` would run in a thread."""
    ctx.log(f"greeting {data.name}")
    return Greeting(text=f"Hello, {data.name}!")

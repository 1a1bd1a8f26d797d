"""A recurring job has steps like any other, and may sleep for longer than its interval."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import BaseModel

from bullq import Context, QueueSpec, job
from bullq.engines import bullmq_memory
from tests.conftest import AppFactory
from tests.support.workers import running_worker

QUEUE = QueueSpec(name="one", concurrency=10)
DEADLINE = 30.0


class Nothing(BaseModel):
    n: int = 0


async def test_a_recurring_job_starts_others_and_sleeps_past_its_next_run(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bullmq_memory, "SHORTEST_PAUSE_MS", 50)
    begun: list[str] = []
    ended: list[str] = []
    children: list[int] = []
    enough = asyncio.Event()

    @job(queue="one", name="child")
    async def child(data: Nothing) -> int:
        children.append(data.n)
        return data.n

    @job(queue="one", name="tick", every=timedelta(seconds=1))
    async def tick(data: Nothing, ctx: Context) -> None:
        def end() -> None:
            ended.append(ctx.job_id)
            if len(ended) == 2:
                enough.set()

        await ctx.run("begin", lambda: begun.append(ctx.job_id))
        await ctx.dispatch("dispatch", child, Nothing(n=1))
        assert await ctx.invoke("invoke", child, Nothing(n=2)) == 2
        await ctx.sleep("long", 1.1)
        await ctx.run("end", end)

    app = make_app(tick, child, queues=[QUEUE])
    async with running_worker(app, "one"), asyncio.timeout(DEADLINE):
        await enough.wait()
    assert begun[:2] == ended[:2]
    assert len(begun) == len(set(begun)) > 2, "the next run did not wait for those that sleep"
    assert min(children.count(1), children.count(2)) >= 2

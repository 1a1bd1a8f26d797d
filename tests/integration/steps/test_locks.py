"""A worker that has lost a job's lock can record nothing of the job."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Bullq, Context, QueueSpec, job
from bullq.queues.steplog import StepLog
from bullq.store.steps import FieldTimer, StepRecord
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker

ONE = QueueSpec(name="one", concurrency=5, attempts=1)
NOT_OURS, NO_LOCK, NO_JOB = -6, -2, -1


class Nothing(BaseModel):
    pass


async def fields(app: Bullq, job_id: str) -> dict[str, str]:
    queue = app.queue("one")
    stored: dict[str, str] = await queue.store.client().hgetall(queue.keys.job(job_id))
    return stored


async def test_a_step_whose_worker_lost_the_job_is_not_recorded(make_app: AppFactory) -> None:
    went_on: list[int] = []

    @job(queue="one", name="robbed")
    async def robbed(data: Nothing, ctx: Context) -> None:
        async def rob() -> None:
            queue = app.queue("one")
            key = f"{queue.keys.job(ctx.job_id)}:lock"
            await queue.store.client().set(key, "another worker's", px=30_000)

        await ctx.run("before", int)
        await ctx.run("rob", rob)
        went_on.append(1)

    app = make_app(robbed, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        receipt = await robbed.dispatch(Nothing())
        [lost] = await recorder.wait_for("job_lost")
        stored = await fields(app, receipt.id)
        assert await receipt.status() == "active"  # whoever has the lock goes on with it
    assert lost.arguments[1] == "its lock is lost"
    assert went_on == []
    assert "step:before" in stored
    assert "step:rob" not in stored


@pytest.mark.parametrize("park", [None, "delayed", "children"])
@pytest.mark.parametrize(
    ("lock", "answer"), [("another's", NOT_OURS), (None, NO_LOCK), ("", NO_JOB)]
)
async def test_a_record_without_the_lock_changes_nothing(
    make_app: AppFactory, park: Any, lock: str | None, answer: int
) -> None:
    app = make_app(queues=[ONE])
    queue = app.queue("one")
    client = queue.store.client()
    if lock != "":
        await client.hset(queue.keys.job("a"), mapping={"name": "x", "data": "{}"})
    if lock:
        await client.set(f"{queue.keys.job('a')}:lock", lock)
    before = sorted([key async for key in client.scan_iter(f"{queue.keys.base}*")])
    record = StepRecord(
        job_id="a",
        token="mine",
        fields={"step:x": "1"},
        effect=("key", "1", 1_000),
        park=park,
        timers=[FieldTimer("step:y", '{"until":', 10)],
    )
    assert await StepLog(queue.store, queue.keys).record(record) == answer
    assert sorted([key async for key in client.scan_iter(f"{queue.keys.base}*")]) == before
    assert "step:x" not in await fields(app, "a")


async def test_a_body_that_swallows_the_loss_makes_no_step_any_more(make_app: AppFactory) -> None:
    went_on: list[str] = []

    @job(queue="one", name="stubborn")
    async def stubborn(data: Nothing, ctx: Context) -> str:
        async def rob() -> None:
            queue = app.queue("one")
            key = f"{queue.keys.job(ctx.job_id)}:lock"
            await queue.store.client().set(key, "another worker's", px=30_000)

        for step, function in (("rob", rob), ("effect", lambda: went_on.append("effect"))):
            with contextlib.suppress(BaseException):
                await ctx.run(step, function)
        went_on.append("end")
        return "done"

    app = make_app(stubborn, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        receipt = await stubborn.dispatch(Nothing())
        await recorder.wait_for("job_lost")
        assert await receipt.status() == "active"
    assert went_on == ["end"]


async def test_what_counts_is_the_effect_that_was_there_first(make_app: AppFactory) -> None:
    seen: list[str] = []

    @job(queue="one", name="second")
    async def second(data: Nothing, ctx: Context) -> str:
        async def late() -> str:
            first = ("key", '"first"', 60_000)
            record = StepRecord(job_id="other", token="theirs", effect=first)
            await app.queue("one").steps.record(record)
            return "second"

        seen.append(await ctx.once("key", late))
        stored = await fields(app, ctx.job_id)
        assert json.loads(stored["step:key"]) == {"result": "first"}
        return seen[-1]

    app = make_app(second, queues=[ONE])
    queue = app.queue("one")
    client = queue.store.client()
    await client.hset(queue.keys.job("other"), mapping={"name": "x"})
    await client.set(f"{queue.keys.job('other')}:lock", "theirs")
    async with running_worker(app, "one"):
        receipt = await second.dispatch(Nothing())
        assert await receipt.result(timeout=DEADLINE) == "first"
    assert seen == ["first"]

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from bullq import Bullq, QueueSpec, job
from bullq.store.taking_back import ReturnScript
from tests.conftest import AppFactory
from tests.support.workers import Recorder, running_worker


class Number(BaseModel):
    n: int = 0


@job(queue="default", name="hold")
async def hold(data: Number) -> None:
    await asyncio.sleep(3600)


@job(queue="strict", name="hold")
async def hold_strictly(data: Number) -> None:
    await asyncio.sleep(3600)


STRICT = QueueSpec(name="strict", max_stalled_count=0)


def scripts(app: Bullq, queue: str) -> ReturnScript:
    return ReturnScript(app.store.client(), app.queue(queue).keys)


async def test_only_the_jobs_of_the_worker_with_these_tokens_go_back(make_app: AppFactory) -> None:
    app = make_app(hold)
    keys, client = app.queue("default").keys, app.store.client()
    terms: dict[str, Any] = {"concurrency": 1, "drain_timeout": 0}
    async with (
        running_worker(app, "default", token_prefix="dead", **terms) as (_, dead),
        running_worker(app, "default", token_prefix="deadly", **terms) as (_, alive),
    ):
        receipts = await hold.dispatch_many([Number(n=1), Number(n=2)])
        await dead.wait_for("job_started")
        await alive.wait_for("job_started")
        of_the_dead = dead.all("job_started")[0].arguments[0].id
        script = scripts(app, "default")
        assert await script.return_held_by("dead:", 1) == [of_the_dead]
        assert await script.return_held_by("dead:", 1) == []
        other = next(one.id for one in receipts if one.id != of_the_dead)
        assert await client.lrange(keys.key("active"), 0, -1) == [other]
        assert await client.lrange(keys.key("wait"), 0, -1) == [of_the_dead]
        assert await client.hget(keys.job(of_the_dead), "stc") == "1"
        assert await client.exists(keys.key("held"), keys.key("held-check")) == 0
        events = [fields["event"] for _, fields in await client.xrange(keys.key("events"))]
        assert events[-2:] == ["waiting", "stalled"]


async def test_a_job_that_stalled_too_often_fails_with_the_reason(make_app: AppFactory) -> None:
    app = make_app(hold_strictly, queues=[STRICT])
    async with running_worker(app, "strict", token_prefix="dead", drain_timeout=0) as (_, first):
        receipt = await hold_strictly.dispatch(Number())
        await first.wait_for("job_started")
        assert await scripts(app, "strict").return_held_by("dead:", 0) == [receipt.id]
        told: Recorder = first
        failed = await told.wait_for("job_failed")
    assert failed[0].arguments[1] == (
        "the worker process that ran the job died in the middle of it; "
        "stalls so far: 1, max_stalled_count allows 0"
    )

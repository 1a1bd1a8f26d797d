"""What a job logs and reports is on record in order before it counts as ended."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Bullq, Context, JobFailed, QueueSpec, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker

ONE = QueueSpec(name="one", concurrency=1, attempts=1, keep_logs=5)


class Nothing(BaseModel):
    pass


async def logs(app: Bullq, job_id: str) -> list[str]:
    live = app.queue("one")
    rows: list[str] = await live.store.client().lrange(live.keys.logs(job_id), 0, -1)
    return rows


async def progress(app: Bullq, job_id: str) -> str | None:
    live = app.queue("one")
    stored: str | None = await live.store.client().hget(live.keys.job(job_id), "progress")
    return stored


ROWS = ["two\nlines", "ключ 🔑 \u2028", "\x00\x1b[31m", "", "half \ud800", "x" * 1_000_000]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: repr(row[:10]))
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_log_row_arrives_as_it_was(make_app: AppFactory, kind: str, row: str) -> None:
    async def says(data: Nothing, ctx: Context) -> None:
        ctx.log(row)

    def says_in_a_thread(data: Nothing, ctx: Context) -> None:
        ctx.log(row)

    decorate = job(queue="one", name="says")
    saying: Any = decorate(says) if kind == "async" else decorate(says_in_a_thread)
    app = make_app(saying, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await saying.dispatch(Nothing())
        await receipt.result(timeout=DEADLINE)
        [stored] = await logs(app, receipt.id)
    assert stored == row.encode(errors="backslashreplace").decode()


async def test_rows_keep_their_order_and_the_newest_are_kept(make_app: AppFactory) -> None:
    @job(queue="one", name="counts")
    def counts(data: Nothing, ctx: Context) -> None:
        for number in range(200):
            ctx.log(str(number))

    app = make_app(counts, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await counts.dispatch(Nothing())
        await receipt.result(timeout=DEADLINE)
    assert await logs(app, receipt.id) == ["195", "196", "197", "198", "199"]


async def test_a_failing_jobs_rows_are_on_record_too(make_app: AppFactory) -> None:
    @job(queue="one", name="fails")
    async def fails(data: Nothing, ctx: Context) -> None:
        ctx.log("before")
        raise ValueError("as it should")

    app = make_app(fails, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await fails.dispatch(Nothing())
        with pytest.raises(JobFailed):
            await receipt.result(timeout=DEADLINE)
        assert await logs(app, receipt.id) == ["before"]


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, {1}, object(), b"x"], ids=["nan", "inf", "set", "object", "bytes"]
)
async def test_progress_that_json_cannot_hold_is_refused_where_it_is_told(
    make_app: AppFactory, value: Any
) -> None:
    @job(queue="one", name="reports")
    async def reports(data: Nothing, ctx: Context) -> str:
        with pytest.raises((TypeError, ValueError)):
            ctx.progress(value)
        return "went on"

    app = make_app(reports, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await reports.dispatch(Nothing())
        assert await receipt.result(timeout=DEADLINE) == "went on"
    assert await progress(app, receipt.id) is None


async def test_progress_is_what_it_was_when_it_was_told(make_app: AppFactory) -> None:
    """Even where the job goes on to change what it has passed."""

    @job(queue="one", name="reports")
    async def reports(data: Nothing, ctx: Context) -> None:
        state: dict[str, Any] = {"page": 1}
        ctx.progress(state)
        state["page"] = object()

    app = make_app(reports, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await reports.dispatch(Nothing())
        await receipt.result(timeout=DEADLINE)
    assert await progress(app, receipt.id) == '{"page":1}'
    live = app.queue("one")
    entries = [entry for _, entry in await live.store.client().xrange(live.keys.key("events"))]
    told = [entry for entry in entries if entry["event"] == "progress"]
    assert told == [{"event": "progress", "jobId": receipt.id, "data": '{"page":1}'}]
    names = [entry["event"] for entry in entries]
    assert names.index("progress") < names.index("completed")


async def test_a_row_that_redis_refuses_costs_the_job_nothing(make_app: AppFactory) -> None:
    @job(queue="one", name="says")
    async def says(data: Nothing, ctx: Context) -> str:
        live = app.queue("one")
        await live.store.client().set(live.keys.logs(ctx.job_id), "no list")
        ctx.log("refused")
        return "done"

    app = make_app(says, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        assert await (await says.dispatch(Nothing())).result(timeout=DEADLINE) == "done"
        assert not recorder.all("trouble")


async def test_a_thread_that_outlives_its_job_writes_nothing_more(make_app: AppFactory) -> None:
    go_on, wrote = threading.Event(), threading.Event()

    @job(queue="one", name="leaves-a-thread")
    async def leaves_a_thread(data: Nothing, ctx: Context) -> None:
        def late() -> None:
            go_on.wait(10)
            ctx.log("late")
            wrote.set()

        ctx.log("in time")
        threading.Thread(target=late, daemon=True).start()

    app = make_app(leaves_a_thread, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await leaves_a_thread.dispatch(Nothing())
        await receipt.result(timeout=DEADLINE)
        go_on.set()
        assert await asyncio.to_thread(wrote.wait, DEADLINE)
        await asyncio.sleep(0)
    assert await logs(app, receipt.id) == ["in time"]

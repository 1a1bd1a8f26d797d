"""Backoffs wait as they are told, and recurring jobs recur as they are declared."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from croniter import croniter
from pydantic import BaseModel

from bullq import Backoff, Bullq, Context, InvalidOptionError, Keep, QueueSpec, job
from bullq.protocol.record import JobRecord
from bullq.queues.schedules import Schedule, ensure_schedule
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.pace import soonest
from tests.support.workers import running_worker


class Nothing(BaseModel):
    pass


SPEC = QueueSpec(
    name="spec",
    attempts=4,
    backoff=Backoff.fixed(timedelta(milliseconds=300), jitter=0.5),
    keep_completed=Keep(count=7, age=timedelta(hours=1)),
    keep_failed=Keep(count=9),
)


async def delayed(app: Bullq, queue: str) -> list[JobRecord]:
    live = app.queue(queue)
    client = live.store.client()
    ids = await client.zrange(live.keys.key("delayed"), 0, -1)
    return [JobRecord(one, await client.hgetall(live.keys.job(one))) for one in ids]


@pytest.mark.parametrize("kind", ["fixed", "exponential"])
async def test_w22_jitter_is_honoured_as_node_counts_it(make_app: AppFactory, kind: str) -> None:
    """Each wait is drawn between (1 - jitter) of the full one and all of it."""

    @job(queue="default", name="fails", attempts=2)
    async def fails(data: Nothing) -> None:
        raise ValueError("as it should")

    options = {"backoff": kind, "backoff_delay": "100s", "backoff_jitter": 0.4}
    app = make_app(fails, BULLQ_QUEUES={"default": options})
    full = 100_000
    await fails.dispatch_many([Nothing()] * 60)
    async with running_worker(app, "default") as (_, recorder):
        told = await recorder.wait_for("job_retried", 60)
    waits = [one.arguments[2] for one in told]
    assert all(0.6 * full <= wait <= full for wait in waits)
    assert len(set(waits)) > 10
    assert max(waits) - min(waits) > 0.2 * full


async def test_w22_a_jobs_first_wait_is_within_its_jitter_on_the_clock(
    make_app: AppFactory,
) -> None:
    began: list[float] = []

    @job(queue="spec", name="second-time")
    async def second_time(data: Nothing, ctx: Context) -> int:
        began.append(time.monotonic())
        if ctx.job_attempt == 1:
            raise ValueError("once")
        return ctx.max_attempts

    async def late() -> float:
        """Give the seconds beyond what the worker said that it would wait."""
        began.clear()
        assert await (await second_time.dispatch(Nothing())).result(timeout=DEADLINE) == 4
        wait = recorder.all("job_retried")[-1].arguments[2]
        assert 150 <= wait <= 300
        assert began[1] - began[0] >= wait / 1000 - 0.005
        return began[1] - began[0] - wait / 1000

    app = make_app(second_time, queues=[SPEC])
    async with running_worker(app, "spec") as (_, recorder):
        assert await soonest(late, 0.2) < 0.2


@pytest.mark.parametrize(
    ("tz", "hours"), [(None, {3}), ("America/New_York", {7, 8})], ids=["none given", "New York"]
)
async def test_w22_a_cron_always_says_its_time_zone(
    make_app: AppFactory, tz: str | None, hours: set[int]
) -> None:
    async def nightly(data: Nothing) -> None:
        pass

    in_zone = job(queue="spec", name="nightly", cron="0 3 * * *", tz=tz or "UTC")
    without = job(queue="spec", name="nightly", cron="0 3 * * *")
    app = make_app((without if tz is None else in_zone)(nightly), queues=[SPEC])
    async with running_worker(app, "spec") as (_, recorder):
        await recorder.wait_for("schedule_changed")
    live = app.queue("spec")
    stored = await live.store.client().hgetall(live.keys.key("repeat:bullq-nightly"))
    assert stored["tz"] == (tz or "UTC")
    [run] = await delayed(app, "spec")
    assert run.options["repeat"]["tz"] == (tz or "UTC")
    due = run.timestamp + run.delay
    assert datetime.fromtimestamp(due / 1000, UTC).hour in hours


async def test_w22_a_recurring_jobs_runs_have_its_queues_attempts_backoff_and_retention(
    make_app: AppFactory,
) -> None:
    ran = asyncio.Event()

    @job(queue="spec", name="often", every=1)
    async def often(data: Nothing) -> None:
        ran.set()

    app = make_app(often, queues=[SPEC])
    live = app.queue("spec")
    client = live.store.client()
    async with running_worker(app, "spec") as (_, recorder):
        template = json.loads(
            await client.hget(live.keys.key("repeat:bullq-often"), "opts") or "{}"
        )
        await asyncio.wait_for(ran.wait(), DEADLINE)
        [told, *_] = await recorder.wait_for("job_completed")
    first = JobRecord("", await client.hgetall(live.keys.job(told.arguments[0].id)))
    [second] = await delayed(app, "spec")
    wanted: dict[str, Any] = {
        "attempts": 4,
        "backoff": {"type": "fixed", "delay": 300, "jitter": 0.5},
        "removeOnComplete": {"count": 7, "age": 3600},
        "removeOnFail": {"count": 9},
    }
    for options in (template, first.options, second.options):
        assert {name: options.get(name) for name in wanted} == wanted


async def test_w22_a_recurring_job_that_fails_once_is_tried_again_and_recurs_once(
    make_app: AppFactory,
) -> None:
    attempts: list[int] = []

    @job(queue="spec", name="often", every=60, attempts=3, backoff=Backoff.fixed(0))
    async def often(data: Nothing, ctx: Context) -> None:
        attempts.append(ctx.job_attempt)
        if ctx.job_attempt < 3:
            raise ValueError("not yet")

    app = make_app(often, queues=[SPEC])
    async with running_worker(app, "spec") as (_, recorder):
        await recorder.wait_for("job_completed")
    assert attempts == [1, 2, 3]
    assert len(await delayed(app, "spec")) == 1


async def test_w22_the_start_and_end_of_a_schedule_are_datetimes_with_a_zone(
    make_app: AppFactory,
) -> None:
    @job(queue="spec", name="later")
    async def later(data: Nothing) -> None:
        pass

    app = make_app(later, queues=[SPEC])
    start = datetime.now(UTC) + timedelta(days=3)
    schedule = Schedule(id="later", cron="0 3 * * *", start=start)
    assert await ensure_schedule(app.queue("spec"), schedule, "later", {}, {"attempts": 1})
    [run] = await delayed(app, "spec")
    due = datetime.fromtimestamp((run.timestamp + run.delay) / 1000, UTC)
    assert abs(due - croniter("0 3 * * *", start).get_next(datetime)) < timedelta(seconds=1)
    with pytest.raises(InvalidOptionError, match="needs a time zone"):
        Schedule(id="naive", cron="0 3 * * *", start=datetime(2026, 11, 24))  # noqa: DTZ001


async def test_a_restarted_worker_leaves_its_schedules_alone(make_app: AppFactory) -> None:
    @job(queue="spec", name="nightly", cron="0 3 * * *")
    async def nightly(data: Nothing) -> None:
        pass

    app = make_app(nightly, queues=[SPEC])
    async with running_worker(app, "spec") as (_, recorder):
        pass
    assert len(recorder.all("schedule_changed")) == 1
    async with running_worker(app, "spec") as (_, recorder):
        pass
    assert not recorder.all("schedule_changed")

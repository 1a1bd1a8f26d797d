"""A job that waits holds no slot, and every client of BullMQ finds it where it looks for it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import bullmq
import pytest
from pydantic import BaseModel

from bullq import Bullq, Context, JobFailed, QueueSpec, RetryAfter, job
from bullq.errors import GiveUp, StepFailed
from bullq.queues.queue import JobQueue
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.pace import soonest
from tests.support.workers import running_worker

ONE = QueueSpec(name="one", concurrency=1, attempts=2)
TWO = QueueSpec(name="two", concurrency=5)


class Number(BaseModel):
    n: int = 0


@job(queue="one", name="quick")
async def quick(data: Number) -> int:
    return data.n


async def record(queue: JobQueue, job_id: str) -> dict[str, str]:
    stored: dict[str, str] = await queue.store.client().hgetall(queue.keys.job(job_id))
    return stored


async def until(queue: JobQueue, job_id: str, state: str) -> dict[str, str]:
    """Wait until the job is in a state, as the official client tells it; give its hash."""
    async with asyncio.timeout(DEADLINE):
        while await queue.live.getJobState(job_id) != state:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.005)
    return await record(queue, job_id)


async def test_a_sleeping_job_gives_its_slot_to_another(make_app: AppFactory) -> None:
    @job(queue="one", name="sleepy")
    async def sleepy(data: Number, ctx: Context) -> None:
        await ctx.run("before", int)
        await ctx.sleep("nap", timedelta(hours=1))

    app = make_app(sleepy, quick, queues=[ONE])
    queue = app.queue("one")
    async with running_worker(app, "one") as (_, recorder):
        asleep = await sleepy.dispatch(Number())
        stored = await until(queue, asleep.id, "delayed")
        assert await (await quick.dispatch(Number(n=7))).result(timeout=DEADLINE) == 7
        assert await queue.store.client().get(f"{queue.keys.job(asleep.id)}:lock") is None
        assert "atm" not in stored  # no attempt was spent
        assert stored["step:before"] == '{"result":0}'
        until_ms = json.loads(stored["step:nap"])["until"]
        assert until_ms - int(stored["processedOn"]) >= 3_600_000
    assert recorder.counts["job_retried"] == 0


async def test_a_sleeping_job_wakes_in_time(make_app: AppFactory) -> None:
    @job(queue="one", name="sleepy")
    async def sleepy(data: Number, ctx: Context) -> str:
        await ctx.sleep("nap", timedelta(seconds=1))
        return "awake"

    async def late_ms() -> float:
        receipt = await sleepy.dispatch(Number())
        assert await receipt.result(timeout=DEADLINE) == "awake"
        stored = await record(queue, receipt.id)
        late = int(stored["processedOn"]) - int(json.loads(stored["step:nap"])["until"])
        assert late >= 0
        return late

    app = make_app(sleepy, queues=[ONE])
    queue = app.queue("one")
    async with running_worker(app, "one"):
        assert await soonest(late_ms, 500) < 500


async def test_a_sleeping_job_that_somebody_promotes_wakes(make_app: AppFactory) -> None:
    @job(queue="one", name="sleepy")
    async def sleepy(data: Number, ctx: Context) -> str:
        await ctx.sleep("nap", timedelta(hours=1))
        await ctx.run("after", int)
        await ctx.sleep("again", timedelta(hours=1))
        return "awake"

    app = make_app(sleepy, queues=[ONE])
    queue = app.queue("one")
    async with running_worker(app, "one"):
        receipt = await sleepy.dispatch(Number())
        await until(queue, receipt.id, "delayed")
        await (await bullmq.Job.fromId(queue.live, receipt.id)).promote()
        async with asyncio.timeout(DEADLINE):
            while "step:again" not in await record(queue, receipt.id):  # noqa: ASYNC110 - same
                await asyncio.sleep(0.005)
        await until(queue, receipt.id, "delayed")
        await (await bullmq.Job.fromId(queue.live, receipt.id)).promote()
        assert await receipt.result(timeout=DEADLINE) == "awake"


async def test_an_event_ends_no_sleep_beside_its_wait(make_app: AppFactory) -> None:
    @job(queue="one", name="both")
    async def both(data: Number, ctx: Context) -> Any:
        event, _ = await ctx.parallel(
            lambda: ctx.wait_for("go", "go", timedelta(hours=1)),
            lambda: ctx.sleep("nap", timedelta(seconds=1.2)),
        )
        return event

    app = make_app(both, queues=[ONE])
    queue = app.queue("one")
    async with running_worker(app, "one"):
        receipt = await both.dispatch(Number())
        began = await until(queue, receipt.id, "delayed")
        await both.send_event(receipt.id, "go", 3)
        assert await receipt.result(timeout=DEADLINE) == 3
        ended = await record(queue, receipt.id)
    assert int(ended["finishedOn"]) - int(began["processedOn"]) >= 1_200


async def test_an_invoking_job_is_a_parent_as_in_a_flow(make_app: AppFactory) -> None:
    go = asyncio.Event()

    @job(queue="two", name="child")
    async def child(data: Number) -> int:
        await go.wait()
        return data.n * 2

    @job(queue="one", name="parent")
    async def parent(data: Number, ctx: Context) -> int:
        return await ctx.invoke("double it", child, Number(n=data.n))

    app = make_app(parent, child, quick, queues=[ONE, TWO])
    queue, other = app.queue("one"), app.queue("two")
    async with running_worker(app, "one"), running_worker(app, "two"):
        receipt = await parent.dispatch(Number(n=4))
        await until(queue, receipt.id, "waiting-children")
        assert await (await quick.dispatch(Number(n=7))).result(timeout=DEADLINE) == 7
        client = queue.store.client()
        [child_key] = await client.smembers(f"{queue.keys.job(receipt.id)}:dependencies")
        child_id = child_key.removeprefix(other.keys.base)
        assert child_id.startswith(f"{receipt.id}.double-it")
        assert (await record(other, child_id))["parentKey"] == queue.keys.job(receipt.id)
        go.set()
        assert await receipt.result(timeout=DEADLINE) == 8
        job_ = await bullmq.Job.fromId(queue.live, receipt.id)
        assert await job_.getChildrenValues() == {child_key: 8}


async def test_a_failed_child_does_not_fail_a_parent_that_catches_it(make_app: AppFactory) -> None:
    @job(queue="two", name="child")
    async def child(data: Number) -> int:
        raise GiveUp("no")

    @job(queue="one", name="parent")
    async def parent(data: Number, ctx: Context) -> str:
        try:
            await ctx.invoke("child", child, data)
        except StepFailed as failed:
            return failed.message
        return "no failure"

    app = make_app(parent, child, queues=[ONE, TWO])
    async with running_worker(app, "one"), running_worker(app, "two"):
        receipt = await parent.dispatch(Number())
        assert await receipt.result(timeout=DEADLINE) == "no"


async def test_a_child_that_is_removed_fails_its_step(make_app: AppFactory) -> None:
    @job(queue="two", name="child")
    async def child(data: Number) -> int:
        return data.n

    @job(queue="one", name="parent")
    async def parent(data: Number, ctx: Context) -> int:
        return await ctx.invoke("child", child, data)

    app = make_app(parent, child, queues=[ONE, TWO])
    queue, other = app.queue("one"), app.queue("two")
    async with running_worker(app, "one"):  # and none on the child's queue
        receipt = await parent.dispatch(Number())
        await until(queue, receipt.id, "waiting-children")
        job_ = await bullmq.Job.fromId(other.live, f"{receipt.id}.child")
        await job_.remove()
        with pytest.raises(JobFailed, match="somebody has removed the job"):
            await receipt.result(timeout=DEADLINE)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_child_that_has_ended_already_is_not_waited_for(
    make_app: AppFactory, fails: object
) -> None:
    @job(queue="two", name="child")
    async def child(data: Number) -> int:
        if fails:
            raise GiveUp("no")
        return 9

    @job(queue="one", name="parent")
    async def parent(data: Number, ctx: Context) -> Any:
        try:
            return await ctx.invoke("child", child, data)
        except StepFailed as failed:
            return failed.message

    app = make_app(parent, child, queues=[ONE, TWO])
    async with running_worker(app, "one"), running_worker(app, "two"):
        await child.dispatch(Number(), id="p.child")  # as nobody's child
        await until(app.queue("two"), "p.child", "failed" if fails else "completed")
        receipt = await parent.dispatch(Number(), id="p")
        assert await receipt.result(timeout=DEADLINE) == ("no" if fails else 9)


async def test_an_event_sent_while_the_job_runs_is_not_lost(make_app: AppFactory) -> None:
    @job(queue="one", name="waits")
    async def waits(data: Number, ctx: Context) -> Any:
        async def send() -> None:
            await waits.send_event(ctx.job_id, "go", {"n": data.n})

        await ctx.run("send", send)  # after the claim has brought what had been sent
        return await ctx.wait_for("go", "go", timedelta(hours=1))

    app = make_app(waits, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await waits.dispatch(Number(n=3))
        assert await receipt.result(timeout=DEADLINE) == {"n": 3}


async def test_an_event_does_not_cut_a_backoff_short(make_app: AppFactory) -> None:
    @job(queue="one", name="flaky")
    async def flaky(data: Number, ctx: Context) -> None:
        await ctx.wait_for("first", "go", timedelta(hours=1))
        raise ValueError("no")

    app = make_app(flaky, queues=[ONE])
    queue = app.queue("one")
    async with running_worker(app, "one") as (_, recorder):
        receipt = await flaky.dispatch(Number())
        await until(queue, receipt.id, "delayed")
        await flaky.send_event(receipt.id, "go")
        await recorder.wait_for("job_retried")
        await flaky.send_event(receipt.id, "go")
        assert await queue.live.getJobState(receipt.id) == "delayed"


async def test_a_job_that_somebody_has_tried_again_tries_its_failed_step_again(
    make_app: AppFactory,
) -> None:
    calls: list[str] = []

    @job(queue="one", name="charge")
    async def charge(data: Number, ctx: Context) -> str:
        async def note(what: str) -> None:
            calls.append(what)
            if calls.count("charge") == 1 and what == "charge":
                raise GiveUp("declined")

        await ctx.run("reserve", note, "reserve")
        await ctx.run("charge", note, "charge")
        return "paid"

    app = make_app(charge, queues=[ONE])
    queue = app.queue("one")
    async with running_worker(app, "one"):
        receipt = await charge.dispatch(Number())
        with pytest.raises(JobFailed, match="declined"):
            await receipt.result(timeout=DEADLINE)
        job_ = await bullmq.Job.fromId(queue.live, receipt.id)
        await job_.retry("failed")
        stored = await until(queue, receipt.id, "completed")
    assert stored["returnvalue"] == '"paid"'
    assert calls == ["reserve", "charge", "charge"]


async def test_a_job_that_is_tried_again_asks_its_failed_child_anew(make_app: AppFactory) -> None:
    children: list[str] = []

    @job(queue="two", name="child")
    async def child(data: Number, ctx: Context) -> int:
        children.append(ctx.job_id)
        if len(children) == 1:
            raise GiveUp("not yet")
        return 5

    @job(queue="one", name="parent")
    async def parent(data: Number, ctx: Context) -> int:
        return await ctx.invoke("child", child, data)

    app = make_app(parent, child, queues=[ONE, TWO])
    queue = app.queue("one")
    async with running_worker(app, "one"), running_worker(app, "two"):
        receipt = await parent.dispatch(Number())
        with pytest.raises(JobFailed, match="not yet"):
            await receipt.result(timeout=DEADLINE)
        await (await bullmq.Job.fromId(queue.live, receipt.id)).retry("failed")
        stored = await until(queue, receipt.id, "completed")
    assert stored["returnvalue"] == "5"
    assert children == [f"{receipt.id}.child", f"{receipt.id}.child~1"]


async def test_a_failure_beside_a_sleep_is_a_failed_attempt(make_app: AppFactory) -> None:
    @job(queue="one", name="both")
    async def both(data: Number, ctx: Context) -> int:
        async def busy() -> None:
            if ctx.attempt == 1:
                raise RetryAfter(1.1)

        await ctx.parallel(lambda: ctx.run("busy", busy), lambda: ctx.sleep("nap", 1.1))
        return ctx.job_attempt

    app = make_app(both, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await both.dispatch(Number())
        assert (await until(app.queue("one"), receipt.id, "delayed"))["atm"] == "1"
        assert await receipt.result(timeout=DEADLINE) == 2


async def test_a_failed_jobs_record_tells_where_its_step_failed(make_app: AppFactory) -> None:
    def burn() -> None:
        raise GiveUp("toast")

    @job(queue="one", name="uncaught")
    async def uncaught(data: Number, ctx: Context) -> None:
        await ctx.run("burn", burn)

    @job(queue="one", name="turned")
    async def turned(data: Number, ctx: Context) -> None:
        try:
            await ctx.run("burn", burn)
        except StepFailed as failed:
            raise GiveUp("no breakfast") from failed

    app = make_app(uncaught, turned, queues=[ONE])
    async with running_worker(app, "one"):
        for one in (uncaught, turned):
            receipt = await one.dispatch(Number())
            with pytest.raises(JobFailed):
                await receipt.result(timeout=DEADLINE)
            [trace] = json.loads((await record(app.queue("one"), receipt.id))["stacktrace"])
            assert "StepFailed: the step 'burn' failed: GiveUp: toast\n" in trace
            assert ", in burn\n" in trace


async def test_a_job_without_steps_leaves_no_trace_of_them(make_app: AppFactory) -> None:
    @job(queue="one", name="plain")
    async def plain(data: Number, ctx: Context) -> int:
        ctx.log("nothing to it")
        return data.n

    app = make_app(plain, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await plain.dispatch(Number(n=2))
        assert await receipt.result(timeout=DEADLINE) == 2
        stored = await record(app.queue("one"), receipt.id)
    assert not [name for name in stored if name.startswith("step")]


async def test_steps_wait_for_redis(own_server: Any, make_app: Any) -> None:
    calls: list[int] = []

    @job(queue="one", name="patient")
    async def patient(data: Number, ctx: Context) -> int:
        async def break_it() -> int:
            calls.append(1)
            own_server.kill()
            asyncio.get_running_loop().call_later(0.3, own_server.start)
            return 5

        return await ctx.run("during an outage", break_it) + await ctx.run("after", int, 1)

    app: Bullq = make_app(patient, queues=[ONE], url=own_server.url)
    async with running_worker(app, "one") as (_, recorder):
        receipt = await patient.dispatch(Number())
        await recorder.wait_for("job_completed")
        stored = await record(app.queue("one"), receipt.id)
    assert stored["returnvalue"] == "6"
    assert calls == [1]

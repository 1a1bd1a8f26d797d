"""Jobs on Inngest: what they are registered as, and what our own store knows of them.

What every engine does alike is in tests/conformance.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import timedelta
from typing import Any

from bullq import Backoff, Context, GiveUp, QueueSpec, RateLimit, RemoteJob, StepFailed, job
from bullq.queues.inspect import show_job
from bullq.queues.results import ResultWatcher
from bullq.queues.schedules import Schedule, ensure_schedule
from bullq.worker.recurring import keep_schedules
from tests.conftest import AppFactory
from tests.integration.inngest.conftest import Heard, Order, Site, SiteFactory, receipt
from tests.support.deadline import DEADLINE

LIMITED = QueueSpec(
    name="limited",
    concurrency=3,
    attempts=4,
    rate_limit=RateLimit(5, timedelta(milliseconds=500)),
)


@job(queue="limited", name="limited")
async def limited(order: Order) -> None: ...


@job(queue="scheduled", name="nightly", cron="0 3 * * *", tz="Europe/Berlin")
async def nightly(order: Order) -> int:
    return order.id


def registered(site: Site, name: str) -> dict[str, Any]:
    return site.double.runs.functions[f"bullq-{name}"]


async def test_a_job_is_a_function_under_the_policy_of_its_queue(make_site: SiteFactory) -> None:
    site = await make_site(receipt, limited, queues=[LIMITED])
    function = registered(site, "limited.limited")
    assert function["triggers"] == [{"event": "bullq/limited.limited"}]
    assert function["steps"]["step"]["retries"] == {"attempts": 3}
    assert function["concurrency"] == [{"key": '"limited"', "limit": 3, "scope": "env"}]
    assert function["throttle"] == {"limit": 10, "period": "1s", "burst": 10}
    assert function["priority"] == {"run": "int(event.data._bullq.head_start)"}
    assert "rateLimit" not in function, "Inngest's rate limits drop what is above them"
    assert registered(site, "default.receipt")["steps"]["step"]["retries"] == {"attempts": 2}


async def test_more_attempts_than_a_server_makes_are_fewer(make_site: SiteFactory) -> None:
    @job(queue="default", name="stubborn", attempts=50)
    async def stubborn(order: Order) -> None: ...

    site = await make_site(stubborn)
    assert registered(site, "default.stubborn")["steps"]["step"]["retries"] == {"attempts": 20}


async def test_a_job_of_another_service_is_no_function(make_site: SiteFactory) -> None:
    remote = RemoteJob(queue="elsewhere", name="remote", data=Order)

    @job(queue="default", name="caller")
    async def caller(order: Order, ctx: Context) -> None:
        await ctx.dispatch("start", remote, order)

    site = await make_site(caller, remote)
    assert list(site.double.runs.functions) == ["bullq-default.caller"]
    run = await site.run(caller, Order())
    assert run.status == "Failed"
    assert "another service's" in run.output["message"]


async def test_a_job_is_on_record_with_its_log_progress_and_result(make_site: SiteFactory) -> None:
    site = await make_site(receipt)
    await site.run(receipt, Order(id=7), job_id="mine")
    queue = site.app.queue("default")
    shown = await show_job(queue, "mine")
    assert shown is not None
    assert (shown.state.value, shown.logs) == ("completed", ["order 7"])
    assert json.loads(shown.record.return_value or "") == "7"
    assert shown.record.fields["progress"] == "50"
    assert shown.record.fields["engine"] == "inngest"
    # Whoever waits for a result finds it as that of a job of BullMQ.
    ended = await ResultWatcher(queue.store, queue.keys).wait("mine", DEADLINE, since_ms=0)
    assert (ended.completed, ended.value) == (True, '"7"')


async def test_a_failure_is_on_record_and_told(make_site: SiteFactory) -> None:
    @job(queue="default", name="failing", attempts=2, backoff=Backoff.fixed(2))
    async def failing(order: Order) -> None:
        raise KeyError("till")

    site = await make_site(failing)
    run = await site.run(failing, Order(), job_id="mine")
    assert run.output["name"] == "KeyError"
    assert site.heard.told == [
        ("started", "mine"),
        ("retried", "KeyError: 'till' in 2000 ms"),
        ("failed", "KeyError: 'till'"),
    ]
    shown = await show_job(site.app.queue("default"), "mine")
    assert shown is not None
    assert (shown.state.value, shown.record.failed_reason) == ("failed", "KeyError: 'till'")
    assert shown.record.attempts_made == 2
    assert 'raise KeyError("till")' in shown.record.stacktrace[0]


async def test_a_job_told_fewer_attempts_takes_no_more(make_site: SiteFactory) -> None:
    calls: list[int] = []

    @job(queue="default", name="once", attempts=5, backoff=Backoff.fixed(0))
    async def fails(order: Order, ctx: Context) -> str:
        try:
            await ctx.run("fail", calls.append, 1 / order.id)  # type: ignore[arg-type] # raises
        except ZeroDivisionError:
            calls.append(1)
            raise
        return ""

    site = await make_site(fails)
    run = await site.run(fails, Order(id=0), told={"attempts": 2})
    assert (run.status, calls) == ("Failed", [1, 1])


async def test_failures_of_another_engine_count(make_site: SiteFactory) -> None:
    seen: list[int] = []

    @job(queue="default", name="counted")
    async def counted(order: Order, ctx: Context) -> None:
        seen.append(ctx.job_attempt)

    site = await make_site(counted)
    await site.run(counted, Order(), failures=2)
    assert seen == [3]


async def test_an_event_of_somebody_else_runs_the_job_under_its_own_id(
    make_site: SiteFactory,
) -> None:
    site = await make_site(receipt)
    event = site.double.send("bullq/default.receipt", {"id": 9}, id="theirs")
    run = await site.double.finished(event)
    assert run.output == "9"
    assert (await show_job(site.app.queue("default"), "theirs")) is not None


async def test_a_payload_that_does_not_fit_fails_at_once(make_site: SiteFactory) -> None:
    site = await make_site(receipt)
    run = await site.double.finished(site.double.send("bullq/default.receipt", {"id": "many"}))
    assert (run.status, run.requests) == ("Failed", 1)
    assert "payload: id:" in run.output["message"]


async def test_a_recurring_job_recurs_on_the_engine_that_is_named(make_site: SiteFactory) -> None:
    site = await make_site(nightly)
    assert [one for one in registered(site, "scheduled.nightly")["triggers"] if "cron" in one] == []

    site = await make_site(nightly, BULLQ_RECURRING_ON="inngest")
    assert registered(site, "scheduled.nightly")["triggers"] == [
        {"event": "bullq/scheduled.nightly"},
        {"cron": "TZ=Europe/Berlin 0 3 * * *"},
    ]
    run = site.double.runs.cron("bullq-scheduled.nightly")
    async with asyncio.timeout(DEADLINE):
        await run.ended.wait()
    assert (run.status, run.output) == ("Completed", 0)


async def test_bullmq_keeps_no_schedule_that_inngest_keeps(make_app: AppFactory) -> None:
    app = make_app(nightly, BULLQ_RECURRING_ON="inngest")
    queue = app.queue("scheduled")
    await ensure_schedule(queue, Schedule(id="bullq-nightly", cron="0 3 * * *"), "nightly", {}, {})
    await keep_schedules(queue, app.jobs.on("scheduled"), Heard(), here=False)
    assert await queue.store.client().zcard(queue.keys.key("repeat")) == 0


async def test_give_up_spends_no_more_attempts_and_makes_no_step_again(
    make_site: SiteFactory,
) -> None:
    made: list[str] = []

    @job(queue="default", name="declined", attempts=5)
    async def declined(order: Order, ctx: Context) -> None:
        await ctx.run("first", made.append, "first")
        raise GiveUp("declined")

    site = await make_site(declined)
    run = await site.run(declined, Order())
    assert (run.status, run.output["message"], made) == ("Failed", "declined", ["first"])
    assert run.requests == 2


async def test_a_step_whose_attempts_are_spent_is_a_failed_one_to_inngest_too(
    make_site: SiteFactory,
) -> None:
    @job(queue="default", name="burns", attempts=2, backoff=Backoff.fixed(0))
    async def burns(order: Order, ctx: Context) -> str:
        return await ctx.run("raise", lambda: str(1 // order.id))

    site = await make_site(burns)
    run = await site.run(burns, Order())
    assert run.output["message"].startswith("the step 'raise' failed: ZeroDivisionError:")
    operations = [
        one["op"]
        for exchange in site.double.exchanges
        if exchange["response"]["status"] == 206
        for one in exchange["response"]["body"]
    ]
    assert operations == ["StepFailed"]  # the attempt before it asked to be made again


async def test_requests_for_planned_steps_log_nothing_again(make_site: SiteFactory) -> None:
    @job(queue="default", name="talks")
    async def talks(order: Order, ctx: Context) -> None:
        ctx.log("before")
        await ctx.parallel(
            lambda: ctx.run("a", ctx.log, "in a"), lambda: ctx.run("b", ctx.log, "in b")
        )
        ctx.log("after")

    site = await make_site(talks)
    await site.run(talks, Order(), job_id="mine")
    shown = await show_job(site.app.queue("default"), "mine")
    assert shown is not None
    assert sorted(shown.logs) == ["after", "before", "in a", "in b"]


async def test_what_swallows_a_pause_does_not_end_by_it(make_site: SiteFactory) -> None:
    bodies: list[int] = []

    @job(queue="default", name="deaf")
    async def deaf(order: Order, ctx: Context) -> str:
        bodies.append(1)
        with contextlib.suppress(BaseException):
            await ctx.sleep("pause", 1)
        return "done"

    @job(queue="default", name="deaf-branch")
    async def deaf_branch(order: Order, ctx: Context) -> list[str]:
        async def branch(name: str) -> str:
            bodies.append(1)
            with contextlib.suppress(BaseException):
                return await ctx.run(name, str, name)
            return "swallowed"

        return list(await ctx.parallel(lambda: branch("a"), lambda: branch("b")))

    site = await make_site(deaf, deaf_branch)
    assert (await site.run(deaf, Order())).output == "done"
    assert len(bodies) == 2
    assert (await site.run(deaf_branch, Order())).output == ["a", "b"]


async def test_a_step_that_takes_too_long_for_the_last_time_is_caught_in_the_body(
    make_site: SiteFactory,
) -> None:
    @job(queue="default", name="slow", attempts=1, timeout=0.5)
    async def slow(order: Order, ctx: Context) -> str:
        try:
            await ctx.run("slow", asyncio.sleep, 3600)
        except StepFailed as failed:
            return failed.name
        return "no failure"

    site = await make_site(slow)
    assert (await site.run(slow, Order())).output == "TimeoutError"


async def test_a_body_that_takes_too_long_between_steps_is_tried_again(
    make_site: SiteFactory,
) -> None:
    seen: list[int] = []

    @job(queue="default", name="slow", attempts=2, backoff=Backoff.fixed(0), timeout=0.5)
    async def slow(order: Order, ctx: Context) -> int:
        seen.append(ctx.attempt)
        await asyncio.sleep(3600 if ctx.attempt == 1 else 0)
        return ctx.attempt

    site = await make_site(slow)
    assert ((await site.run(slow, Order())).output, seen) == (2, [1, 2])

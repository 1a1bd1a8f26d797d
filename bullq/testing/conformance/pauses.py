"""Cases: sleeping, and what a job tells meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta

from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import Input, case, expect, expect_in, noted, on, reason


@case("pauses")
async def a_sleep_takes_its_time(bench: Bench) -> None:
    """A job sleeps for its duration, and not less."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.sleep("pause", bench.pause * 3)
        return "awake"

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        began = time.monotonic()
        await session.pass_time(bench.pause)
        await session.until_paused(run)
        expect(await run.result(), "awake")
        expect(time.monotonic() - began < bench.pause.total_seconds() * 6 + 5, True)


@case("pauses")
async def sleeps_follow_each_other(bench: Bench) -> None:
    """Two sleeps with a step between them: each is slept once, in order."""
    effects = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        await ctx.sleep("one", bench.pause)
        await ctx.run("effect", lambda: effects.append(1))
        await ctx.sleep("two", bench.pause)
        return 2

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 2)
    expect(effects, [1])


@case("pauses")
async def a_repeated_sleep_sleeps_again(bench: Bench) -> None:
    """A sleep whose id comes again is another one."""
    awake: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        for n in range(3):
            await ctx.sleep("tick", bench.pause)
            await ctx.run("tick", noted, awake, n)
        return len(awake)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 3)


@case("pauses")
async def a_short_sleep_and_none(bench: Bench) -> None:
    """Sleeps of a few milliseconds, and of none, are over."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.sleep("short", 0.005)
        await ctx.sleep("none", 0)
        await ctx.sleep("none", timedelta())
        return "awake"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "awake")


@case("pauses")
async def a_sleep_until_a_time_past_is_none(bench: Bench) -> None:
    """Sleeping until a time in the past does not sleep."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.sleep_until("past", datetime(2001, 1, 1, tzinfo=UTC))
        return "awake"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "awake")


@case("pauses")
async def a_sleep_until_a_time_to_come(bench: Bench) -> None:
    """Sleeping until a time to come leaves the body until then."""
    bodies = []

    @on()
    async def body(data: Input, ctx: Context) -> str:
        bodies.append(1)
        until = await ctx.run("when", _in, bench.pause + timedelta(seconds=0.3))
        await ctx.sleep_until("then", until)
        return "awake"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "awake")
    expect(len(bodies) > 1, True)


def _in(duration: timedelta) -> datetime:
    return datetime.now(UTC) + duration


@case("pauses")
async def a_time_without_a_zone_is_refused(bench: Bench) -> None:
    """Sleeping until a time without a time zone fails the job at once, saying what to write."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.sleep_until("then", datetime(2031, 1, 1))  # noqa: DTZ001 - the point

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("has no time zone", why)


@case("pauses", needs=("remove",))
async def a_removed_job_sleeps_for_ever(bench: Bench) -> None:
    """A job that is removed while it sleeps never wakes."""
    awake = []

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.sleep("pause", bench.pause * 2)
        awake.append(1)

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await session.remove(run)
        await session.pass_time(bench.pause * 3)
    expect(awake, [])


async def _swallowed(bench: Bench, *, split: bool) -> None:
    effects: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> str:
        def effect() -> Awaitable[str]:
            return ctx.run("effect", noted, effects, "effect")

        with contextlib.suppress(BaseException):
            await ctx.sleep("pause", bench.pause)
        await (ctx.parallel(effect) if split else effect())
        return "done"

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        expect(effects, [])
        expect(await run.result(), "done")
    expect(effects, ["effect"])


@case("pauses")
async def a_swallowed_pause_is_a_pause(bench: Bench) -> None:
    """A body that swallows even BaseException pauses all the same, and its result then counts."""
    await _swallowed(bench, split=False)


@case("pauses")
async def a_swallowed_pause_ends_no_branch(bench: Bench) -> None:
    """Nor does ctx.parallel begin after a pause that was swallowed."""
    await _swallowed(bench, split=True)


@case("pauses")
async def except_exception_does_not_see_a_pause(bench: Bench) -> None:
    """`except Exception` around a pause does not see it."""
    caught: list[Exception] = []

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.sleep("pause", bench.pause)
        except Exception as error:  # noqa: BLE001 - the point
            caught.append(error)
        return "done"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "done")
    expect(caught, [])


@case("pauses", needs=("logs",))
async def rows_are_logged_once(bench: Bench) -> None:
    """What the body logs is logged once, however often it runs."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        ctx.log("begin")
        await ctx.run("effect", lambda: 1)
        ctx.log("before")
        await ctx.sleep("pause", bench.pause)
        ctx.log("after")
        await ctx.sleep("again", bench.pause)
        ctx.log("end")

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await run.result()
        expect(await session.logs(run), ["begin", "before", "after", "end"])


@case("pauses", needs=("logs",))
async def steps_log_too(bench: Bench) -> None:
    """A step's function logs; what it logged is not repeated when the body runs again."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("talk", lambda: ctx.log("in the step"))
        await ctx.sleep("pause", bench.pause)

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await run.result()
        expect(await session.logs(run), ["in the step"])


@case("pauses", needs=("progress",))
async def progress_does_not_fall_back(bench: Bench) -> None:
    """The progress that counts is the last one told."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        ctx.progress(10)
        await ctx.sleep("pause", bench.pause)
        ctx.progress({"done": 90})
        await ctx.sleep("again", bench.pause)

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await run.result()
        expect(await session.progress(run), {"done": 90})


@case("pauses")
async def a_pause_has_a_longest_length(bench: Bench) -> None:
    """A pause that no engine can count is refused, before anything is sent."""

    @on(attempts=1)
    async def body(data: Input, ctx: Context) -> str:
        refused = []
        for wait in (lambda: ctx.sleep("a", 1e30), lambda: ctx.wait_for("b", "go", 1e30)):
            try:
                await wait()
            except ValueError as error:
                refused.append(str(error))
        return " and ".join(refused)

    async with bench.session(body) as session:
        told = await (await session.start(body, Input())).result()
    expect(told.count("a pause is 12725.8 d at most"), 2)


@case("pauses")
async def steps_that_lost_their_ids_are_told(bench: Bench) -> None:
    """A job that ends without steps that it had made, as after a deployment, says so in its log."""
    version = ["old"]

    @on()
    async def body(data: Input, ctx: Context) -> str:
        made = await ctx.run(version[0], lambda: version[0])
        await ctx.sleep("pause", bench.pause * 2)
        return made

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        version[0] = "new"
        expect(await run.result(), "new")
        expect_in("the job has ended without", (await session.logs(run))[-1])


@case("pauses")
async def logs_of_branches_and_retries(bench: Bench) -> None:
    """What is logged in a branch, or before a step that is tried again, is logged once, too."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        async def branch() -> None:
            ctx.log("branch")
            await ctx.run("a", lambda: 1)
            await ctx.run("b", lambda: 2)

        async def flaky() -> None:
            ctx.log(f"attempt {ctx.attempt}")
            if ctx.attempt == 1:
                raise ValueError("not yet")

        ctx.log("first")
        await ctx.parallel(branch, lambda: ctx.sleep("pause", bench.pause))
        ctx.log("between")
        await ctx.run("flaky", flaky)

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await run.result()
        logs = await session.logs(run)
    expect(logs, ["first", "branch", "between", "attempt 1", "attempt 2"])


@case("pauses")
async def logs_of_a_branch_that_wakes_first(bench: Bench) -> None:
    """What a branch logs once it is awake is logged, though another branch still sleeps."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        async def short() -> None:
            await ctx.sleep("short", bench.pause)
            ctx.log("awake")
            await ctx.run("effect", lambda: 1)

        async def no_steps() -> None:
            ctx.log("no steps")

        await ctx.parallel(short, lambda: ctx.sleep("long", bench.pause * 3), no_steps)
        ctx.log("all awake")

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await run.result()
        logs = await session.logs(run)
    expect(logs, ["no steps", "awake", "all awake"])

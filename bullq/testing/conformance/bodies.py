"""Cases: bodies that fail, and jobs that take too long."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bullq.errors import GiveUp, RetryAfter, StepFailed
from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import ATTEMPTS, Input, case, expect, expect_in, on, reason

SHORT = timedelta(milliseconds=20)


@case("failures")
async def give_up_in_the_body_ends_the_job(bench: Bench) -> None:
    """GiveUp in the body fails the job at once, and no finished step is made again."""
    effects = []

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("effect", lambda: effects.append(1))
        raise GiveUp("no use")

    async with bench.session(body) as session:
        expect(await reason(await session.start(body, Input())), "no use")
    expect(effects, [1])


@case("failures")
async def retry_after_in_the_body(bench: Bench) -> None:
    """RetryAfter in the body begins it anew; finished steps are not made again."""
    effects, bodies = [], []

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.run("effect", lambda: effects.append(1))
        bodies.append(ctx.attempt)
        if ctx.attempt == 1:
            raise RetryAfter(SHORT)
        return "done"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "done")
    expect(effects, [1])
    expect(bodies[-2:], [1, 2])


@case("failures")
async def a_failing_body_is_tried_again(bench: Bench) -> None:
    """What the body raises is tried again by the job's attempts, then fails the job."""
    effects, attempts = [], []

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("effect", lambda: effects.append(1))
        attempts.append(ctx.attempt)
        raise ValueError(f"attempt {ctx.attempt}")

    async with bench.session(body) as session:
        expect(await reason(await session.start(body, Input())), "attempt 3")
    expect(effects, [1])
    expect(attempts, [1, 2, 3])


@case("failures")
async def a_bodys_attempts_count_anew_after_a_step(bench: Bench) -> None:
    """A body that fails twice after each of three steps completes: each step begins its count."""
    failed: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        for n in range(3):
            await ctx.run(f"step {n}", lambda: 1)
            if failed.count(f"after {n}") < ATTEMPTS - 1:
                failed.append(f"after {n}")
                raise ValueError(f"after {n}")
        return 3

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 3)
    expect(failed, ["after 0", "after 0", "after 1", "after 1", "after 2", "after 2"])


@case("failures")
async def a_failure_may_be_turned_into_another(bench: Bench) -> None:
    """A body that raises an error of its own for a failed step is tried again without a call."""
    calls, bodies = [], []

    async def burn() -> None:
        calls.append(1)
        raise GiveUp("toast")

    @on()
    async def body(data: Input, ctx: Context) -> None:
        try:
            await ctx.run("burn", burn)
        except StepFailed as failed:
            bodies.append(1)
            raise RuntimeError("no breakfast") from failed

    async with bench.session(body) as session:
        expect(await reason(await session.start(body, Input())), "no breakfast")
    expect(calls, [1])
    expect(len(bodies) >= ATTEMPTS, True)


@case("failures")
async def a_step_longer_than_the_timeout_fails(bench: Bench) -> None:
    """A step that takes longer than the job's timeout has failed, and is tried again."""
    calls = []

    @on(timeout=timedelta(milliseconds=150))
    async def body(data: Input, ctx: Context) -> int:
        async def slow() -> int:
            calls.append(ctx.attempt)
            await asyncio.sleep(30 if ctx.attempt == 1 else 0)
            return ctx.attempt

        return await ctx.run("slow", slow)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 2)
    expect(calls, [1, 2])


@case("failures")
async def the_timeout_bounds_each_step(bench: Bench) -> None:
    """The timeout bounds each step, not all of them together."""

    async def slow() -> int:
        await asyncio.sleep(0.1)
        return 1

    @on(attempts=1, timeout=timedelta(milliseconds=250))
    async def body(data: Input, ctx: Context) -> int:
        return sum([await ctx.run(f"slow {n}", slow) for n in range(4)])

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 4)


@case("failures")
async def the_timeout_bounds_the_body_after_a_step(bench: Bench) -> None:
    """The timeout bounds the body after a step, too."""

    @on(attempts=1, timeout=timedelta(milliseconds=150))
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("quick", lambda: 1)
        await asyncio.sleep(30)

    async with bench.session(body) as session:
        expect_in("timeout of", await reason(await session.start(body, Input())))

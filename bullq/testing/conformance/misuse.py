"""Cases: ways to take steps that no engine can keep, each refused with a sentence."""

from __future__ import annotations

import asyncio
import contextlib

from bullq.jobs.context import Context
from bullq.jobs.limits import MOST_STEPS
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import Input, case, expect, expect_in, on, reason


@case("misuse")
async def gather_is_refused(bench: Bench) -> None:
    """Steps under asyncio.gather fail the job at once, with a sentence that names ctx.parallel."""
    effects = []

    async def effect() -> None:
        effects.append(1)
        await asyncio.sleep(0.01)

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await asyncio.gather(ctx.run("a", effect), ctx.run("b", effect))

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("ctx.parallel", why)
    expect(len(effects) <= 1, True)


@case("misuse")
async def task_groups_are_refused(bench: Bench) -> None:
    """Steps in an asyncio.TaskGroup are refused alike."""

    async def effect() -> None:
        await asyncio.sleep(0.01)

    @on()
    async def body(data: Input, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.run("a", effect))
            group.create_task(ctx.run("b", effect))

    async with bench.session(body) as session:
        expect_in("ctx.parallel", await reason(await session.start(body, Input())))


@case("misuse")
async def nested_steps_are_refused(bench: Bench) -> None:
    """A step inside a step fails the job at once, naming both."""
    calls = []

    @on()
    async def body(data: Input, ctx: Context) -> None:
        async def outer() -> None:
            calls.append(1)
            await ctx.run("inner", lambda: 1)

        await ctx.run("outer", outer)

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("'inner'", why)
    expect_in("'outer'", why)
    expect_in("do not nest", why)
    expect(calls, [1])


@case("misuse")
async def a_refusal_cannot_be_swallowed(bench: Bench) -> None:
    """A job that catches the refusal fails by it all the same."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        async def outer() -> None:
            with contextlib.suppress(Exception):
                await ctx.run("inner", lambda: 1)

        await ctx.run("outer", outer)
        return "done"

    async with bench.session(body) as session:
        expect_in("do not nest", await reason(await session.start(body, Input())))


@case("misuse")
async def a_coroutine_is_no_branch(bench: Bench) -> None:
    """ctx.parallel(ctx.run(...)) is refused, saying how to write it."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.parallel(ctx.run("a", lambda: 1), ctx.run("b", lambda: 2))  # type: ignore[call-overload] # the point

    async with bench.session(body) as session:
        expect_in("lambda: ctx.run(...)", await reason(await session.start(body, Input())))


@case("misuse")
async def a_result_is_no_function(bench: Bench) -> None:
    """ctx.run("a", f()) is refused, saying how to write it."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("a", len("four"))  # type: ignore[call-overload] # the point

    async with bench.session(body) as session:
        expect_in("without calling", await reason(await session.start(body, Input())))


@case("misuse")
async def an_empty_id_is_refused(bench: Bench) -> None:
    """A step without an id is refused."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("", lambda: 1)

    async with bench.session(body) as session:
        expect_in("a text that is not empty", await reason(await session.start(body, Input())))


@case("misuse", needs=("many-steps",))
async def more_steps_than_any_engine_takes(bench: Bench) -> None:
    """A job of more than 1,000 steps fails with that number, on every engine."""

    async def nothing() -> None:
        pass

    @on()
    async def body(data: Input, ctx: Context) -> None:
        for _ in range(MOST_STEPS + 1):
            await ctx.run("again", nothing)

    async with bench.session(body) as session:
        expect_in("more than 1,000 steps", await reason(await session.start(body, Input())))


@case("misuse")
async def half_a_character_is_no_id(bench: Bench) -> None:
    """An id with half a character in it, which cannot be kept, is refused."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("mail \ud83d", lambda: 1)

    async with bench.session(body) as session:
        expect_in("A step's id is a text", await reason(await session.start(body, Input())))


@case("misuse")
async def a_step_that_nobody_awaits_is_told(bench: Bench) -> None:
    """A step that is under way when the body ends fails the job: its outcome would be lost."""
    go_on = asyncio.Event()

    @on()
    async def body(data: Input, ctx: Context) -> str:
        tasks.append(asyncio.create_task(ctx.run("slow", go_on.wait)))
        await asyncio.sleep(0.01)
        return "done"

    tasks: list[asyncio.Task[bool]] = []
    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    expect_in("The step 'slow' was still under way", why)


@case("misuse")
async def a_step_on_another_loop_is_refused(bench: Bench) -> None:
    """A sync job that takes steps under asyncio.run is told to take them by ctx.sync."""

    @on()
    def body(data: Input, ctx: Context) -> int:
        async def inner() -> int:
            return await ctx.run("a", lambda: 1)

        return asyncio.run(inner())

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("another event loop", why)
    expect_in("ctx.sync", why)

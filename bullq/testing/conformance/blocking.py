"""Cases: sync jobs, whose steps wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from datetime import timedelta

from bullq.errors import StepFailed
from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.children import double
from bullq.testing.conformance.kit import (
    ATTEMPTS,
    Input,
    Output,
    case,
    expect,
    expect_in,
    noted,
    on,
    reason,
)


@case("sync jobs")
async def a_sync_job_makes_steps(bench: Bench) -> None:
    """A sync job's steps give their typed results, once; sync and async functions alike."""
    effects: list[str] = []

    def model() -> Output:
        effects.append("model")
        return Output(n=3)

    async def fetch(n: int) -> int:
        effects.append("fetch")
        return n

    @on()
    def body(data: Input, ctx: Context) -> int:
        made = ctx.sync.run("model", model)
        ctx.sync.sleep("pause", bench.pause)
        return made.n + ctx.sync.run("fetch", fetch, 4)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 7)
    expect(effects, ["model", "fetch"])


@case("sync jobs")
async def a_sync_jobs_steps_run_in_its_thread(bench: Bench) -> None:
    """A sync job's ordinary functions run in the job's own thread."""

    @on()
    def body(data: Input, ctx: Context) -> bool:
        here = threading.get_ident()
        return here == ctx.sync.run("where", threading.get_ident)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), True)


@case("sync jobs")
async def a_sync_jobs_step_fails(bench: Bench) -> None:
    """A sync job's failing step is tried again, and raises StepFailed at last."""
    calls: list[int] = []

    @on()
    def body(data: Input, ctx: Context) -> str:
        def burn() -> None:
            calls.append(ctx.attempt)
            raise ValueError("toast")

        try:
            ctx.sync.run("burn", burn)
        except StepFailed as failed:
            return f"{failed.name}: {failed.message}"
        return "no failure"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "ValueError: toast")
    expect(calls, list(range(1, ATTEMPTS + 1)))


@case("sync jobs")
async def a_sync_jobs_branches(bench: Bench) -> None:
    """A sync job's branches run at once, each with several steps."""

    @on()
    def body(data: Input, ctx: Context) -> int:
        def branch(name: str) -> int:
            first = ctx.sync.run(name, len, name)
            ctx.sync.sleep("pause", bench.pause)
            return first + ctx.sync.run(name, len, name)

        return sum(ctx.sync.parallel(lambda: branch("a"), lambda: branch("bb")))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 6)


@case("sync jobs")
async def a_sync_job_invokes_another(bench: Bench) -> None:
    """A sync job invokes and dispatches other jobs."""

    @on()
    def body(data: Input, ctx: Context) -> int:
        made = ctx.sync.invoke("child", double, Input(n=2))
        ctx.sync.dispatch("another", double, Input(n=3))
        return made.n

    async with bench.session(body, double) as session:
        expect(await (await session.start(body, Input())).result(), 4)


@case("sync jobs")
async def a_sync_job_waits_for_an_event(bench: Bench) -> None:
    """A sync job waits for an event."""

    @on()
    def body(data: Input, ctx: Context) -> int:
        paid = ctx.sync.wait_for("payment", "paid", 3600, Output)
        return 0 if paid is None else paid.n

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await body.send_event(run.id, "paid", Output(n=8))
        expect(await run.result(), 8)


@case("sync jobs")
async def a_sync_jobs_effect(bench: Bench) -> None:
    """A sync job's effects happen once for all jobs."""
    effects: list[int] = []

    @on()
    def body(data: Input, ctx: Context) -> int:
        def effect() -> int:
            effects.append(data.n)
            return data.n

        return ctx.sync.once("effect", effect)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input(n=1))).result(), 1)
        expect(await (await session.start(body, Input(n=2))).result(), 1)
    expect(effects, [1])


@case("sync jobs")
async def a_thread_that_goes_on_makes_no_step(bench: Bench) -> None:
    """A thread that goes on when its attempt's time is up makes no step any more."""
    effects: list[int] = []

    @on(attempts=2, timeout=timedelta(milliseconds=150))
    def body(data: Input, ctx: Context) -> int:
        if ctx.attempt == 1:
            time.sleep(0.4)
        return ctx.sync.run("effect", noted, effects, ctx.attempt)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 2)
        await asyncio.sleep(0.5)
    expect(effects, [2])


@case("sync jobs")
async def a_sync_job_does_not_await(bench: Bench) -> None:
    """A sync job that calls ctx.run is told to take ctx.sync.run."""

    @on()
    def body(data: Input, ctx: Context) -> None:
        _ = ctx.run("effect", lambda: 1)

    async with bench.session(body) as session:
        expect_in("ctx.sync.run(...)", await reason(await session.start(body, Input())))


@case("sync jobs")
async def a_sync_job_cannot_swallow_the_refusal(bench: Bench) -> None:
    """A sync job that swallows the refusal of ctx.run fails by it all the same."""

    @on()
    def body(data: Input, ctx: Context) -> str:
        with contextlib.suppress(Exception):
            _ = ctx.run("effect", lambda: 1)
        return "done"

    async with bench.session(body) as session:
        expect_in("ctx.sync.run(...)", await reason(await session.start(body, Input())))


@case("sync jobs")
async def an_async_job_does_not_block(bench: Bench) -> None:
    """An async job that calls ctx.sync.run is told to await ctx.run."""

    @on()
    async def body(data: Input, ctx: Context) -> None:
        ctx.sync.run("effect", lambda: 1)

    async with bench.session(body) as session:
        expect_in("awaits ctx.run(...)", await reason(await session.start(body, Input())))


@case("sync jobs")
async def many_branches_wait_for_branches(bench: Bench) -> None:
    """Branches of branches get threads, however many wait for them."""

    @on()
    def body(data: Input, ctx: Context) -> int:
        def pair() -> int:
            return sum(
                ctx.sync.parallel(
                    lambda: ctx.sync.run("one", lambda: 1), lambda: ctx.sync.run("two", lambda: 2)
                )
            )

        return sum(ctx.sync.parallel(*[pair] * 8))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 24)


@case("sync jobs")
async def stop_iteration_in_a_sync_jobs_step(bench: Bench) -> None:
    """StopIteration fails a sync job's step like any error."""

    def first() -> int:
        return next(iter(list[int]()))

    @on(attempts=1)
    def body(data: Input, ctx: Context) -> str:
        try:
            ctx.sync.run("first", first)
        except StepFailed as failed:
            return failed.name
        return "no failure"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "RuntimeError")

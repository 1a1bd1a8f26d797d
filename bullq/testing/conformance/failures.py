"""Cases: steps and bodies that fail, and how often they are tried."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bullq.errors import GiveUp, RetryAfter, StepFailed
from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import ATTEMPTS, Input, case, expect, expect_in, on, reason

SHORT = timedelta(milliseconds=20)


class Odd(Exception):  # noqa: N818 - an error of a case
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no words")


def _failing_step(at: int) -> tuple[list[str], object]:
    """Make a job of three steps, the one at *at* of which fails twice."""
    calls: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        for n in range(3):

            async def step(n: int = n) -> None:
                calls.append(f"{n}:{ctx.attempt}")
                if n == at and ctx.attempt < ATTEMPTS:
                    raise ValueError(f"attempt {ctx.attempt}")

            await ctx.run(f"step {n}", step)
        return 3

    return calls, body


def _expected(at: int) -> list[str]:
    tried = [f"{at}:1", f"{at}:2", f"{at}:3"]
    return [*(f"{n}:1" for n in range(at)), *tried, *(f"{n}:1" for n in range(at + 1, 3))]


async def _check_failing_step(bench: Bench, at: int) -> None:
    calls, body = _failing_step(at)
    async with bench.session(body) as session:  # type: ignore[arg-type] # made by @job
        expect(await (await session.start(body, Input())).result(), 3)  # type: ignore[arg-type] # same
    expect(calls, _expected(at))


@case("failures")
async def a_failing_first_step_is_tried_again(bench: Bench) -> None:
    """A first step that raises is tried again, its attempts counted from 1."""
    await _check_failing_step(bench, 0)


@case("failures")
async def a_failing_middle_step_is_tried_again(bench: Bench) -> None:
    """A middle step that raises is tried again; those before it are not."""
    await _check_failing_step(bench, 1)


@case("failures")
async def a_failing_last_step_is_tried_again(bench: Bench) -> None:
    """A last step that raises is tried again; those before it are not."""
    await _check_failing_step(bench, 2)


@case("failures")
async def the_last_attempt_raises_step_failed(bench: Bench) -> None:
    """After its last attempt the body gets StepFailed: step, name, message, traceback."""
    calls, caught = [], []

    async def burn() -> None:
        calls.append(1)
        raise KeyError("toast")

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.run("burn", burn)
        except StepFailed as failed:
            caught.append(failed)
        return "went on"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "went on")
    failed = caught[-1]
    expect((failed.step, failed.name, failed.message), ("burn", "KeyError", "'toast'"))
    expect_in("Traceback (most recent call last)", failed.trace)
    expect_in("in burn", failed.trace)
    expect(len(calls), ATTEMPTS)


@case("failures")
async def a_caught_failure_stays(bench: Bench) -> None:
    """A failed step that the body has caught fails alike in later runs, without a call."""
    calls: list[int] = []
    caught: list[str] = []

    async def burn() -> None:
        calls.append(1)
        raise ValueError("toast")

    @on()
    async def body(data: Input, ctx: Context) -> int:
        try:
            await ctx.run("burn", burn)
        except StepFailed as failed:
            caught.append(f"{failed.step} {failed.name} {failed.message} {failed.trace}")
        await ctx.sleep("pause", bench.pause)
        return len(calls)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), ATTEMPTS)
    expect(len(set(caught)), 1)
    expect(len(caught) > 1, True)


@case("failures")
async def an_uncaught_step_failure_fails_the_job(bench: Bench) -> None:
    """StepFailed that nobody catches fails the job; the step is not called again."""
    calls = []

    async def burn() -> None:
        calls.append(1)
        raise ValueError("toast")

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("burn", burn)

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("the step 'burn' failed: ValueError: toast", why)
    expect(len(calls), ATTEMPTS)


@case("failures")
async def every_step_has_all_attempts(bench: Bench) -> None:
    """Each step has all attempts for itself: ten steps fail twice each, and the job completes."""
    calls = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        async def flaky() -> None:
            calls.append(ctx.attempt)
            if ctx.attempt < ATTEMPTS:
                raise ValueError("not yet")

        for n in range(10):
            await ctx.run(f"step {n}", flaky)
        return 10

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 10)
    expect(calls, [1, 2, 3] * 10)


@case("failures")
async def the_job_counts_all_failures(bench: Bench) -> None:
    """ctx.job_attempt counts the failures of all steps, and never falls."""
    seen: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> None:
        seen.append(ctx.job_attempt)

        async def flaky() -> None:
            if ctx.attempt < ATTEMPTS:
                raise ValueError("not yet")

        await ctx.run("a", flaky)
        await ctx.run("b", flaky)

    async with bench.session(body) as session:
        await (await session.start(body, Input())).result()
    expect(seen, sorted(seen))
    expect((seen[0], seen[-1]), (1, 5))


@case("failures")
async def give_up_in_a_step_ends_it(bench: Bench) -> None:
    """GiveUp in a step is its last attempt: StepFailed at once."""
    calls = []

    async def refuse() -> None:
        calls.append(1)
        raise GiveUp("declined")

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("charge", refuse)

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("the step 'charge' failed: GiveUp: declined", why)
    expect(calls, [1])


@case("failures")
async def a_caught_give_up_is_not_made_again(bench: Bench) -> None:
    """A step that gave up is not called again, however often the body runs."""
    calls, caught = [], []

    async def refuse() -> None:
        calls.append(1)
        raise GiveUp("declined")

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.run("charge", refuse)
        except StepFailed as failed:
            caught.append(failed.name)
        await ctx.run("after", lambda: 1)
        await ctx.sleep("pause", bench.pause)
        return caught[-1]

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "GiveUp")
    expect(calls, [1])


@case("failures")
async def retry_after_in_a_step_sets_its_wait(bench: Bench) -> None:
    """RetryAfter in a step makes its next attempt after that time."""
    calls = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        async def busy() -> int:
            calls.append(ctx.attempt)
            if ctx.attempt == 1:
                raise RetryAfter(SHORT, "busy")
            return ctx.attempt

        return await ctx.run("busy", busy)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 2)
    expect(calls, [1, 2])


@case("failures")
async def retry_after_spends_attempts(bench: Bench) -> None:
    """RetryAfter spends attempts: the last one raises StepFailed like any error."""
    calls = []

    async def busy() -> None:
        calls.append(1)
        raise RetryAfter(SHORT, "busy")

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("busy", busy)

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("the step 'busy' failed: RetryAfter: busy", why)
    expect(len(calls), ATTEMPTS)


@case("failures")
async def an_error_that_cannot_describe_itself(bench: Bench) -> None:
    """An error whose message cannot be read fails its step like any other."""

    async def odd() -> None:
        raise Odd

    @on(attempts=1)
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.run("odd", odd)
        except StepFailed as failed:
            return failed.name
        return "no failure"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "Odd")


@case("failures")
async def cancelled_error_in_a_step_is_a_failure(bench: Bench) -> None:
    """CancelledError that a step raises itself fails the step, and cancels nothing."""
    calls = []

    async def cancel() -> None:
        calls.append(1)
        raise asyncio.CancelledError

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.run("cancel", cancel)
        except StepFailed as failed:
            return failed.message
        return "no failure"

    async with bench.session(body) as session:
        told = await (await session.start(body, Input())).result()
    expect(told, "the step was cancelled from within: it raised CancelledError")
    expect(len(calls), ATTEMPTS)


@case("failures")
async def system_exit_in_a_step_is_a_failure(bench: Bench) -> None:
    """SystemExit in a step fails the step, and ends no worker."""
    calls = []

    def leave() -> None:
        calls.append(1)
        raise SystemExit(3)

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.run("leave", leave)
        except StepFailed as failed:
            return f"{failed.name} {failed.message}"
        return "no failure"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "SystemExit 3")
    expect(len(calls), ATTEMPTS)


@case("failures")
async def stop_iteration_in_a_step(bench: Bench) -> None:
    """StopIteration, as of next() on nothing, fails a step like any error, sync or async."""

    def first() -> int:
        return next(iter(list[int]()))

    @on(attempts=1)
    async def body(data: Input, ctx: Context) -> str:
        async def too() -> int:
            return first()

        told = []
        for function in (first, too):
            try:
                await ctx.run("first", function)
            except StepFailed as failed:
                told.append(failed.name)
        return " ".join(told)

    async with bench.session(body) as session:
        told = await (await session.start(body, Input())).result()
    expect(told, "RuntimeError RuntimeError")

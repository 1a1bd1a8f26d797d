"""Cases: results and payloads that are big, odd, or that JSON cannot hold."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from pydantic import BaseModel, SecretStr

from bullq.errors import PayloadError, StepFailed
from bullq.jobs.context import Context
from bullq.jobs.limits import MOST_PAYLOAD_BYTES, MOST_RESULT_BYTES
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import (
    Input,
    Output,
    case,
    expect,
    expect_in,
    failure,
    on,
    reason,
)


async def _refused(bench: Bench, result: object, words: str) -> None:
    """Check that a step with this result fails after one call, saying why."""
    calls = []

    def give() -> Any:
        calls.append(1)
        return result

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.run("give", give)
        except StepFailed as failed:
            return f"{failed.name}: {failed.message}"
        return "no failure"

    async with bench.session(body) as session:
        told = await (await session.start(body, Input())).result()
    expect_in("ResultError: the step 'give'", told)
    expect_in(words, told)
    expect(calls, [1])


@case("results")
async def what_json_cannot_hold_is_refused(bench: Bench) -> None:
    """A result that JSON cannot hold fails the step after one call, naming its type."""
    await _refused(bench, object(), "type 'object'")


@case("results")
async def nan_is_refused(bench: Bench) -> None:
    """NaN, which JSON does not have, fails the step after one call."""
    await _refused(bench, {"x": math.nan}, "JSON")


@case("results")
async def a_result_that_is_too_big_is_refused(bench: Bench) -> None:
    """A result of more than 4 MiB fails the step after one call, with both sizes."""
    await _refused(bench, "x" * (MOST_RESULT_BYTES + 1), "4,194,304 is the most")


@case("results")
async def a_result_of_another_type_is_refused(bench: Bench) -> None:
    """A result that is not of the declared type fails the step after one call."""
    calls = []

    def lie() -> int:
        calls.append(1)
        return "four"  # type: ignore[return-value] # the point

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return await ctx.run("lie", lie)

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("does not fit the declared type int", why)
    expect(calls, [1])


@case("results")
async def a_jobs_result_that_cannot_be_written(bench: Bench) -> None:
    """A job whose own result JSON cannot hold fails at once; its steps are not made again."""
    effects = []

    @on()
    async def body(data: Input, ctx: Context) -> Any:
        await ctx.run("effect", lambda: effects.append(1))
        return object()

    async with bench.session(body) as session:
        expect_in("type 'object'", await reason(await session.start(body, Input())))
    expect(effects, [1])


@case("results")
async def a_jobs_result_that_is_too_big(bench: Bench) -> None:
    """A job whose own result is more than 4 MiB fails at once, as a step's does."""
    effects = []

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.run("effect", lambda: effects.append(1))
        return "x" * MOST_RESULT_BYTES

    async with bench.session(body) as session:
        why = await reason(await session.start(body, Input()))
    expect_in(f"{MOST_RESULT_BYTES + 2:,} bytes of JSON, and {MOST_RESULT_BYTES:,}", why)
    expect(effects, [1])


@case("results")
async def a_dispatched_payload_that_is_too_big(bench: Bench) -> None:
    """A dispatch of more than 3 MiB raises the same PayloadError, and nothing is sent."""

    @on()
    async def body(data: dict[str, str]) -> int:
        return len(data["text"])

    async with bench.session(body) as session:
        most = MOST_PAYLOAD_BYTES - len('{"text":""}')
        expect(await (await session.start(body, {"text": "x" * most})).result(), most)
        told = str(await failure(PayloadError, session.start(body, {"text": "x" * (most + 1)})))
    expect_in(f"{MOST_PAYLOAD_BYTES + 1:,} bytes of JSON", told)


@case("results")
async def a_secret_in_a_result_is_refused(bench: Bench) -> None:
    """A SecretStr in a result, of which JSON would keep asterisks, fails the step, saying so."""

    class Login(BaseModel):
        token: SecretStr

    calls = []

    def login() -> Any:
        calls.append(1)
        return Login(token=SecretStr("hush"))

    @on()
    async def body(data: Input, ctx: Context) -> None:
        await ctx.run("login", login)

    async with bench.session(body) as session:
        expect_in("a secret in it", await reason(await session.start(body, Input())))
    expect(calls, [1])


@case("results")
async def a_big_result_comes_back(bench: Bench) -> None:
    """A result of a megabyte comes back after a pause."""

    @on()
    async def body(data: Input, ctx: Context) -> int:
        text = await ctx.run("big", lambda: "é" * 500_000)
        await ctx.sleep("pause", bench.pause)
        return len(text)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 500_000)


@case("results")
async def any_text_comes_back(bench: Bench) -> None:
    """Text of any script, control characters and quotes come back as they were."""
    texts = ["ключ 🔑", 'a "b" \\ c', "\x00\x1b[31m", "two\nlines", ""]

    @on()
    async def body(data: Input, ctx: Context) -> list[str]:
        made = await ctx.run("texts", lambda: texts)
        await ctx.sleep("pause", bench.pause)
        return list(made)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), texts)


@case("results")
async def halves_of_characters_come_back(bench: Bench) -> None:
    """Half a character, as JavaScript leaves where it cuts a text, comes back from anywhere."""
    half = "cut \ud83d"

    @on(name="child")
    async def child(data: dict[str, str]) -> str:
        return data["text"] + "!"

    @on()
    async def body(data: dict[str, str], ctx: Context) -> list[str]:
        async def send() -> None:
            await body.send_event(ctx.job_id, "half", half)

        made = [data["text"], await ctx.run("give", lambda: half)]
        await ctx.run("send", send)
        made.append(await ctx.wait_for("half", "half", 3600))
        await ctx.sleep("pause", bench.pause)
        return [*made, await ctx.invoke("child", child, {"text": half})]

    async with bench.session(body, child) as session:
        made = await (await session.start(body, {"text": half})).result()
    expect(made, [half, half, half, half + "!"])


@case("results")
async def numbers_come_back(bench: Bench) -> None:
    """Large integers and fractions come back exactly."""
    numbers = [0, -1, 2**53 + 1, 0.1, 1e-9, True]

    @on()
    async def body(data: Input, ctx: Context) -> str:
        made = await ctx.run("numbers", lambda: numbers)
        await ctx.sleep("pause", bench.pause)
        return repr(made)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), repr(numbers))


@case("results")
async def numbers_arrive_exactly(bench: Bench) -> None:
    """Large integers in payloads, a child's result and the job's own arrive exactly."""
    large = 2**53 + 1

    @on(name="child")
    async def child(data: Input) -> list[int]:
        return [data.n, -data.n]

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        return [data.n, *await ctx.invoke("child", child, Input(n=data.n + 2))]

    async with bench.session(body, child) as session:
        made = await (await session.start(body, Input(n=large))).result()
    expect(made, [large, large + 2, -large - 2])


@case("results")
async def a_payload_that_does_not_fit_is_refused(bench: Bench) -> None:
    """A child's payload that is not of its type raises PayloadError, and nothing is sent."""
    children = []

    @on(name="child")
    async def child(data: Input) -> None:
        children.append(1)

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.invoke("child", child, {"n": "many"})  # type: ignore[misc] # the point
        except PayloadError as error:
            return str(error)
        return "sent"

    async with bench.session(body, child) as session:
        expect_in("payload: n:", await (await session.start(body, Input())).result())
    expect(children, [])


@case("results")
async def a_payload_that_is_too_big_is_refused(bench: Bench) -> None:
    """A payload of more than 3 MiB raises PayloadError, and nothing is sent."""
    children = []

    @on(name="child")
    async def child(data: dict[str, str]) -> None:
        children.append(1)

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.dispatch("child", child, {"text": "x" * MOST_PAYLOAD_BYTES})
        except PayloadError as error:
            return str(error)
        return "sent"

    async with bench.session(body, child) as session:
        told = await (await session.start(body, Input())).result()
    expect_in(f"payload: {MOST_PAYLOAD_BYTES + 11:,} bytes of JSON", told)
    expect_in(f"{MOST_PAYLOAD_BYTES:,} is the most", told)
    expect(children, [])


@case("results")
async def a_changed_result_does_not_change_the_record(bench: Bench) -> None:
    """What the body does to a result is not on record: later runs get what the step gave."""
    seen: list[list[int]] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        made: list[int] = await ctx.run("list", lambda: [1])
        seen.append(list(made))
        made.append(2)
        await ctx.sleep("pause", bench.pause)
        return len(made)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 2)
    expect(all(one == [1] for one in seen), True)


@case("results")
async def a_step_may_return_an_awaitable(bench: Bench) -> None:
    """A lambda that makes a coroutine gives the coroutine's result."""

    async def fetch(n: int) -> Output:
        await asyncio.sleep(0)
        return Output(n=n)

    @on()
    async def body(data: Input, ctx: Context) -> Any:
        return await ctx.run("fetch", lambda: fetch(5))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), {"n": 5})

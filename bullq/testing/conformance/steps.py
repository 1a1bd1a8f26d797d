"""Cases: what a step gives, and that it is made once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

from bullq.errors import GiveUp, StepFailed
from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import (
    ATTEMPTS,
    QUEUE,
    Input,
    Output,
    case,
    expect,
    noted,
    on,
)

WHEN = datetime(2031, 5, 17, 12, 30, tzinfo=UTC)


@dataclass
class Point:
    """A result that is no pydantic model."""

    x: int
    at: datetime


@dataclass
class Pricing:
    """A callable object, whose call has a return type."""

    rate: int

    def __call__(self, x: int) -> Point:
        """Give a point."""
        return Point(x * self.rate, WHEN)


@case("steps")
async def a_step_gives_what_its_function_returns(bench: Bench) -> None:
    """A step gives what its function returns, sync or async."""

    def double(n: int) -> int:
        return n * 2

    async def add(a: int, *, b: int) -> int:
        return a + b

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return await ctx.run("add", add, await ctx.run("double", double, data.n), b=1)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input(n=20))).result(), 41)


@case("steps")
async def a_finished_step_is_not_made_again(bench: Bench) -> None:
    """A finished step is not made again when the body runs again."""
    bodies: list[int] = []
    effects: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> list[str]:
        bodies.append(1)
        first = await ctx.run("first", noted, effects, "first")
        await ctx.sleep("pause", bench.pause)
        second = await ctx.run("second", noted, effects, "second")
        return [first, second]

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), ["first", "second"])
    expect(effects, ["first", "second"])
    expect(len(bodies) > 1, True)


@case("steps")
async def a_typed_result_is_typed_again(bench: Bench) -> None:
    """A result comes back as the function's return type, the first time and later."""
    seen: list[tuple[Any, ...]] = []

    def model() -> Output:
        return Output(n=7)

    async def point() -> Point:
        return Point(3, WHEN)

    @on()
    async def body(data: Input, ctx: Context) -> int:
        seen.append((await ctx.run("model", model), await ctx.run("point", point)))
        await ctx.sleep("pause", bench.pause)
        return 0

    async with bench.session(body) as session:
        await (await session.start(body, Input())).result()
    expect(all(one == (Output(n=7), Point(3, WHEN)) for one in seen), True)


@case("steps")
async def an_untyped_result_is_plain_data_each_time(bench: Bench) -> None:
    """Without a return type a result is JSON data, the first time as later."""
    seen: list[Any] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        seen.append(await ctx.run("mixed", lambda: (1, {"a": Output(n=2)}, WHEN)))
        await ctx.sleep("pause", bench.pause)
        return 0

    async with bench.session(body) as session:
        await (await session.start(body, Input())).result()
    expect(seen[0], [1, {"a": {"n": 2}}, "2031-05-17T12:30:00Z"])
    expect(all(one == seen[0] for one in seen), True)


@case("steps")
async def nothing_is_a_result(bench: Bench) -> None:
    """A step that returns nothing is finished all the same."""
    effects = []

    def nothing() -> None:
        effects.append(1)

    @on()
    async def body(data: Input, ctx: Context) -> bool:
        made: object = await ctx.run("nothing", nothing)
        await ctx.sleep("pause", bench.pause)
        return made is None

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), True)
    expect(effects, [1])


@case("steps")
async def partials_and_methods_are_functions(bench: Bench) -> None:
    """Partials, methods and built-in functions are steps like others."""

    class Shop:
        async def sell(self, n: int) -> Output:
            return Output(n=n)

    def add(a: int, b: int) -> int:
        return a + b

    @on()
    async def body(data: Input, ctx: Context) -> int:
        sold = await ctx.run("sell", Shop().sell, 1)
        return sold.n + await ctx.run("add", partial(add, 2), 3) + await ctx.run("len", len, "four")

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 10)


@case("steps")
async def a_repeated_id_gets_a_number(bench: Bench) -> None:
    """An id that comes again is another step, each of them made once."""
    effects: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        made = []
        for number in range(4):
            made.append(await ctx.run("same", noted, effects, number))
            if number == 1:
                await ctx.sleep("pause", bench.pause)
        return made

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), [0, 1, 2, 3])
    expect(effects, [0, 1, 2, 3])


@case("steps")
async def a_numbered_id_of_ones_own_does_not_collide(bench: Bench) -> None:
    """An id that looks like a numbered one is a step of its own."""

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        ids = ["a", "a:1", "a", "a:1", "a"]
        made = [await ctx.run(id_, int, n) for n, id_ in enumerate(ids)]
        await ctx.sleep("pause", bench.pause)
        return made

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), [0, 1, 2, 3, 4])


@case("steps")
async def odd_ids_are_ids(bench: Bench) -> None:
    """Ids with spaces, colons, slashes and letters of any script are kept apart."""
    ids = ["with space", "a:b", "a/b", "1.0/x", "ключ", "🔑", "a" * 200, '"', "step:x"]

    @on()
    async def body(data: Input, ctx: Context) -> list[str]:
        made = [await ctx.run(id_, str, id_) for id_ in ids]
        await ctx.sleep("pause", bench.pause)
        return made

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), ids)


@case("steps")
async def a_hundred_steps(bench: Bench) -> None:
    """A job of 100 steps makes each of them once."""
    effects: list[int] = []

    async def effect(n: int) -> int:
        effects.append(n)
        return n

    @on()
    async def body(data: Input, ctx: Context) -> int:
        total = 0
        for n in range(100):
            total += await ctx.run(f"step {n}", effect, n)
        return total

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 4950)
    expect(effects, list(range(100)))


@case("steps")
async def a_helper_may_make_steps(bench: Bench) -> None:
    """Functions that are given the context make steps of the same job."""

    async def helper(ctx: Context, name: str) -> int:
        return await ctx.run(name, len, name)

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return await helper(ctx, "one") + await helper(ctx, "three")

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 8)


@case("steps")
async def a_job_without_steps_is_a_job(bench: Bench) -> None:
    """A job that makes no step runs once and gives its result."""
    bodies = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        bodies.append(1)
        return data.n + 1

    @on(name="plain")
    async def plain(data: Input) -> int:
        return data.n + 2

    async with bench.session(body, plain) as session:
        expect(await (await session.start(body, Input(n=1))).result(), 2)
        expect(await (await session.start(plain, Input(n=1))).result(), 3)
    expect(bodies, [1])


@case("steps")
async def the_context_knows_its_job(bench: Bench) -> None:
    """The context tells the job's id, place, engine, attempts, and that nothing was cancelled."""
    seen: dict[str, Any] = {}

    @on()
    async def body(data: Input, ctx: Context) -> None:
        for name in ("job_id", "queue", "name", "engine", "job_attempt", "attempt", "cancelled"):
            seen[name] = getattr(ctx, name)
        seen["max_attempts"] = ctx.max_attempts

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await run.result()
    expect(
        seen,
        {
            "job_id": run.id,
            "queue": QUEUE,
            "name": "main",
            "engine": bench.engine,
            "job_attempt": 1,
            "attempt": 1,
            "cancelled": False,
            "max_attempts": ATTEMPTS,
        },
    )


@case("steps")
async def the_fence_never_falls(bench: Bench) -> None:
    """ctx.fence is at least 1, and never falls from one run of the body to the next."""
    fences: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> None:
        fences.append(ctx.fence)
        await ctx.sleep("pause", bench.pause)
        await ctx.sleep("again", bench.pause)

    async with bench.session(body) as session:
        await (await session.start(body, Input())).result()
    expect(fences, sorted(fences))
    expect(fences[0] >= 1, True)


@case("steps")
async def jobs_at_once_keep_their_steps_apart(bench: Bench) -> None:
    """Twenty jobs at once get their own steps' results."""

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        made = [await ctx.run("same", int, data.n * 10 + k) for k in range(3)]
        await ctx.sleep("pause", bench.pause)
        return [*made, await ctx.run("last", lambda: data.n)]

    async with bench.session(body) as session:
        runs = [await session.start(body, Input(n=n)) for n in range(20)]
        for n, run in enumerate(runs):
            expect(await run.result(), [n * 10, n * 10 + 1, n * 10 + 2, n])


@case("steps")
async def callable_objects_are_steps(bench: Bench) -> None:
    """A callable object's result comes back as its call's return type; one may never return."""

    def refuse() -> NoReturn:
        raise GiveUp("never")

    @on()
    async def body(data: Input, ctx: Context) -> str:
        point = await ctx.run("price", Pricing(3), 7)
        await ctx.sleep("pause", bench.pause)
        try:
            await ctx.run("refuse", refuse)
        except StepFailed as failed:
            return f"{point.x} {failed.message}"
        raise AssertionError

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "21 never")


@case("steps")
async def an_id_like_a_branchs_path(bench: Bench) -> None:
    """An id that looks like that of a step in a branch is a step of its own."""

    @on()
    async def body(data: Input, ctx: Context) -> list[str]:
        async def branch() -> str:
            inner = await ctx.run("1.0/mail", lambda: "c")
            (below,) = await ctx.parallel(lambda: ctx.run("mail", lambda: "d"))
            return inner + below

        made = [await ctx.run("1.0/mail", lambda: "a"), await ctx.run("/1.0/mail", lambda: "b")]
        return made + list(await ctx.parallel(lambda: ctx.run("mail", lambda: "e"), branch))

    async with bench.session(body) as session:
        made = await (await session.start(body, Input())).result()
    expect(made, ["a", "b", "e", "cd"])


@case("steps")
async def results_like_bullqs_own(bench: Bench) -> None:
    """A result is given back as it was, also where it looks like what bullq itself keeps."""
    like_a_step = {"value": 2, "failures": 0}
    kept: list[Any] = [{"_bullq": 1}, {"_bullq": like_a_step}, {"result": 1}, {"error": 2}]

    def give(n: int) -> Any:
        return kept[n]

    @on()
    async def body(data: Input, ctx: Context) -> Any:
        made = [await ctx.run("give", give, n) for n in range(len(kept))]
        await ctx.sleep("pause", bench.pause)
        return made

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), kept)

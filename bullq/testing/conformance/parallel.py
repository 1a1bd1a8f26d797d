"""Cases: steps at once."""

from __future__ import annotations

import asyncio

from bullq.errors import GiveUp, RetryAfter, StepFailed
from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import (
    ATTEMPTS,
    Input,
    Output,
    case,
    expect,
    noted,
    on,
    reason,
)


@case("parallel")
async def branches_give_their_results_in_order(bench: Bench) -> None:
    """ctx.parallel gives the results in the order of its branches, each made once."""
    effects: list[int] = []

    async def effect(n: int) -> Output:
        await asyncio.sleep(0.01 * (3 - n))
        effects.append(n)
        return Output(n=n)

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        one, two, three = await ctx.parallel(
            lambda: ctx.run("one", effect, 1),
            lambda: ctx.run("two", effect, 2),
            lambda: ctx.run("three", effect, 3),
        )
        await ctx.sleep("pause", bench.pause)
        return [one.n, two.n, three.n]

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), [1, 2, 3])
    expect(sorted(effects), [1, 2, 3])


@case("parallel")
async def branches_overlap(bench: Bench) -> None:
    """Branches run at once: the step of each may wait for the other's."""
    met = asyncio.Barrier(2)

    async def meet() -> str:
        await asyncio.wait_for(met.wait(), 30)
        return "met"

    @on()
    async def body(data: Input, ctx: Context) -> str:
        return "".join(await ctx.parallel(lambda: ctx.run("a", meet), lambda: ctx.run("b", meet)))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "metmet")


@case("parallel")
async def branches_of_several_steps(bench: Bench) -> None:
    """A branch may have several steps; each of them is made once."""
    effects: list[str] = []

    async def effect(name: str) -> str:
        effects.append(name)
        return name

    @on()
    async def body(data: Input, ctx: Context) -> list[str]:
        async def branch(name: str) -> str:
            first = await ctx.run(f"{name}1", effect, f"{name}1")
            return first + await ctx.run(f"{name}2", effect, f"{name}2")

        return list(await ctx.parallel(lambda: branch("a"), lambda: branch("b")))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), ["a1a2", "b1b2"])
    expect(sorted(effects), ["a1", "a2", "b1", "b2"])


@case("parallel")
async def branches_may_use_the_same_ids(bench: Bench) -> None:
    """Branches count ids for themselves: the same id in two of them is two steps."""
    effects: list[int] = []

    async def effect(n: int) -> int:
        effects.append(n)
        return n

    @on()
    async def body(data: Input, ctx: Context) -> list[list[int]]:
        async def branch(n: int) -> list[int]:
            made = [await ctx.run("same", effect, n)]
            await ctx.sleep("pause", bench.pause * (2 - n))
            return [*made, await ctx.run("same", effect, n + 10)]

        return list(await ctx.parallel(lambda: branch(0), lambda: branch(1)))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), [[0, 10], [1, 11]])
    expect(sorted(effects), [0, 1, 10, 11])


@case("parallel")
async def all_branches_end_before_a_failure_is_raised(bench: Bench) -> None:
    """Where a branch fails, the others end first; then its StepFailed is raised."""
    effects: list[str] = []

    async def burn() -> None:
        raise GiveUp("toast")

    async def slow() -> None:
        await asyncio.sleep(0.02)
        effects.append("slow")

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.parallel(
                lambda: ctx.run("burn", burn),
                lambda: ctx.run("slow", slow),
                lambda: ctx.sleep("pause", bench.pause),
            )
        except StepFailed as failed:
            return f"{failed.step} after {effects}"
        return "no failure"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "burn after ['slow']")
    expect(effects, ["slow"])


@case("parallel")
async def a_failing_branch_is_tried_again(bench: Bench) -> None:
    """A step that fails in a branch is tried again; finished ones of other branches are not."""
    effects: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        async def flaky() -> int:
            effects.append("flaky")
            if ctx.attempt < ATTEMPTS:
                raise ValueError("not yet")
            return ctx.attempt

        async def steady() -> int:
            effects.append("steady")
            return 1

        return list(
            await ctx.parallel(lambda: ctx.run("flaky", flaky), lambda: ctx.run("steady", steady))
        )

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), [3, 1])
    expect((effects.count("flaky"), effects.count("steady")), (3, 1))


@case("parallel", needs=("eager-branches",))
async def a_branch_keeps_its_backoff(bench: Bench) -> None:
    """A step that is tried again later waits its time out, though another branch goes on before."""
    effects: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> None:
        async def busy() -> None:
            effects.append(f"busy {ctx.attempt}")
            if ctx.attempt == 1:
                raise RetryAfter(bench.pause * 15)

        async def ticks() -> None:
            await ctx.sleep("pause", bench.pause)
            await ctx.run("tick", noted, effects, "tick")

        await ctx.parallel(lambda: ctx.run("busy", busy), ticks)

    async with bench.session(body) as session:
        await (await session.start(body, Input())).result()
    expect(effects, ["busy 1", "tick", "busy 2"])


@case("parallel")
async def system_exit_in_a_branch_is_a_failure(bench: Bench) -> None:
    """SystemExit in a branch, outside its steps, fails the job, and ends no worker."""

    @on(attempts=1)
    async def body(data: Input, ctx: Context) -> None:
        async def leave() -> None:
            await ctx.run("before", lambda: 1)
            raise SystemExit(3)

        await ctx.parallel(leave, lambda: ctx.run("beside", lambda: 2))

    async with bench.session(body) as session:
        expect(await reason(await session.start(body, Input())), "3")


@case("parallel")
async def branches_sleep_at_once(bench: Bench) -> None:
    """Branches that sleep, sleep at once."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.parallel(
            lambda: ctx.sleep("one", bench.pause),
            lambda: ctx.sleep("two", bench.pause * 2),
            lambda: ctx.sleep("none", 0),
        )
        return "awake"

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "awake")


@case("parallel")
async def branches_may_split(bench: Bench) -> None:
    """ctx.parallel may be used in a branch."""

    @on()
    async def body(data: Input, ctx: Context) -> int:
        async def pair(name: str) -> int:
            return sum(
                await ctx.parallel(
                    lambda: ctx.run(f"{name} left", lambda: 1),
                    lambda: ctx.run(f"{name} right", lambda: 2),
                )
            )

        return sum(await ctx.parallel(lambda: pair("a"), lambda: pair("b")))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 6)


@case("parallel")
async def no_branches_and_steps_after(bench: Bench) -> None:
    """No branches give no results; steps go on after ctx.parallel, twice in a row, too."""

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        nothing: tuple[int, ...] = await ctx.parallel()
        first = await ctx.parallel(*[lambda n=n: ctx.run(f"a{n}", lambda: n) for n in range(3)])
        second = await ctx.parallel(
            lambda: ctx.run("b", lambda: 7), lambda: ctx.run("c", lambda: 8)
        )
        return [*nothing, *first, *second, await ctx.run("d", lambda: 9)]

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), [0, 1, 2, 7, 8, 9])

"""Cases: effects that happen once for all jobs, and jobs whose workers die."""

from __future__ import annotations

from bullq.errors import StepFailed
from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import ATTEMPTS, Input, case, expect, noted, on

STEPS = 4


@case("once")
async def an_effect_happens_once_for_all_jobs(bench: Bench) -> None:
    """ctx.once calls its function once per key; another job gets the recorded result."""
    effects: list[int] = []

    async def charge(n: int) -> int:
        effects.append(n)
        return n

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return await ctx.once("charge order 7", charge, data.n)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input(n=1))).result(), 1)
        expect(await (await session.start(body, Input(n=2))).result(), 1)
    expect(effects, [1])


@case("once")
async def other_keys_are_other_effects(bench: Bench) -> None:
    """Each key is an effect of its own."""
    effects: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> list[str]:
        made = [await ctx.once(key, noted, effects, key) for key in ("a", "b", "a:1", "logs", "🔑")]
        await ctx.sleep("pause", bench.pause)
        return made

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), ["a", "b", "a:1", "logs", "🔑"])
    expect(effects, ["a", "b", "a:1", "logs", "🔑"])


@case("once")
async def a_key_used_twice_in_a_job(bench: Bench) -> None:
    """The same key again in one job is the same effect."""
    effects: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        def effect() -> int:
            effects.append(1)
            return len(effects)

        return [await ctx.once("key", effect), await ctx.once("key", effect)]

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), [1, 1])
    expect(effects, [1])


@case("once")
async def an_effect_that_fails_is_not_recorded(bench: Bench) -> None:
    """An effect that fails is tried again like a step, and recorded when it has succeeded."""
    calls: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        async def flaky() -> int:
            calls.append(ctx.attempt)
            if ctx.attempt < ATTEMPTS:
                raise ValueError("not yet")
            return 5

        return await ctx.once("flaky", flaky)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 5)
        expect(await (await session.start(body, Input())).result(), 5)
    expect(calls, [1, 2, 3])


@case("once")
async def an_effect_that_never_succeeds(bench: Bench) -> None:
    """An effect whose attempts are spent is StepFailed, and another job may try it anew."""
    calls: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> str:
        async def effect() -> int:
            calls.append(data.n)
            if data.n == 0:
                raise ValueError("not in this job")
            return data.n

        try:
            return f"did {await ctx.once('effect', effect)}"
        except StepFailed as failed:
            return failed.message

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input(n=0))).result(), "not in this job")
        expect(await (await session.start(body, Input(n=1))).result(), "did 1")
    expect(calls, [0, 0, 0, 1])


async def _killed(bench: Bench, at: int, *, inside: bool) -> list[int]:
    """Kill the worker once, before step *at*, or *inside* it after its effect."""
    effects: list[int] = []
    kills: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        async def die() -> None:
            if not kills:
                kills.append(1)
                await session.kill(ctx.job_id)

        for n in range(STEPS):
            if n == at and not inside:
                await die()

            async def effect(n: int = n) -> int:
                effects.append(n)
                if n == at and inside:
                    await die()
                return n

            expect(await ctx.run(f"step {n}", effect), n)
        if at == STEPS:
            await die()
        return STEPS

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), STEPS)
    expect(kills, [1])
    return effects


def _boundary(at: int) -> None:
    async def check(bench: Bench) -> None:
        expect(await _killed(bench, at, inside=False), list(range(STEPS)))

    where = f"before step {at + 1} of {STEPS}" if at < STEPS else "after the last step"
    check.__name__ = f"a_crash_{where.replace(' ', '_')}"
    check.__doc__ = f"A worker that dies {where}: each effect happens exactly once."
    case("crashes", needs=("kill",))(check)


def _inside(at: int) -> None:
    async def check(bench: Bench) -> None:
        effects = await _killed(bench, at, inside=True)
        expect(effects, sorted([*range(STEPS), at]))

    check.__name__ = f"a_crash_inside_step_{at + 1}_of_{STEPS}"
    check.__doc__ = (
        f"A worker that dies inside step {at + 1} of {STEPS}, its effect done: that one "
        "happens twice, the others once."
    )
    case("crashes", needs=("kill",))(check)


for _at in range(STEPS + 1):
    _boundary(_at)
for _at in range(STEPS):
    _inside(_at)


@case("crashes", needs=("kill",))
async def a_crash_after_a_pause(bench: Bench) -> None:
    """A worker that dies after a pause does not pause again."""
    kills: list[int] = []
    bodies: list[int] = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        bodies.append(1)
        await ctx.sleep("pause", bench.pause)
        if not kills:
            kills.append(1)
            await session.kill(ctx.job_id)
        return 1

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 1)
    expect(len(bodies) >= len("123"), True)


@case("crashes", needs=("kill",))
async def a_crash_in_a_branch(bench: Bench) -> None:
    """A worker that dies in one branch: the finished step of the other is not made again."""
    kills: list[int] = []
    effects: list[str] = []

    @on()
    async def body(data: Input, ctx: Context) -> list[str]:
        async def quick() -> str:
            effects.append("quick")
            return "quick"

        async def slow() -> str:
            await ctx.run("first", quick)
            if not kills:
                kills.append(1)
                await session.kill(ctx.job_id)
            return await ctx.run("second", quick)

        return list(await ctx.parallel(slow, lambda: ctx.run("other", quick)))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), ["quick", "quick"])
    expect(3 <= len(effects) <= 4, True)  # noqa: PLR2004 - 'other' may have been under way


@case("crashes", needs=("kill", "free-crashes"))
async def a_crash_spends_no_attempt(bench: Bench) -> None:
    """A crash inside a step leaves its attempts as they were."""
    kills: list[int] = []
    attempts: list[int] = []

    @on(attempts=1)
    async def body(data: Input, ctx: Context) -> int:
        async def effect() -> int:
            attempts.append(ctx.attempt)
            if not kills:
                kills.append(1)
                await session.kill(ctx.job_id)
            return 1

        return await ctx.run("effect", effect)

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), 1)
    expect(attempts, [1, 1])

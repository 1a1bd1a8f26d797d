"""Cases: jobs that start others, and wait for them or not."""

from __future__ import annotations

from bullq.errors import GiveUp, StepFailed
from bullq.jobs.context import Context
from bullq.testing.conformance.bench import Bench
from bullq.testing.conformance.kit import (
    OTHER_QUEUE,
    Input,
    Output,
    case,
    expect,
    expect_in,
    on,
    reason,
)


@on(name="double")
async def double(data: Input) -> Output:
    """Double a number."""
    return Output(n=data.n * 2)


@on(OTHER_QUEUE, name="elsewhere")
async def elsewhere(data: Input, ctx: Context) -> Output:
    """Do the same on another queue, in steps."""
    half = await ctx.run("half", lambda: data.n)
    return Output(n=half + await ctx.run("other half", lambda: data.n))


@on(name="refuse")
async def refuse(data: Input) -> Output:
    """Give up."""
    raise GiveUp(f"not {data.n}")


@case("children")
async def invoke_gives_the_childs_result(bench: Bench) -> None:
    """ctx.invoke gives the child's typed result."""

    @on()
    async def body(data: Input, ctx: Context) -> int:
        made = await ctx.invoke("child", double, Input(n=data.n))
        return made.n + 1

    async with bench.session(body, double) as session:
        expect(await (await session.start(body, Input(n=4))).result(), 9)


@case("children")
async def a_child_may_be_on_another_queue(bench: Bench) -> None:
    """A child on another queue, with steps of its own, gives its result alike."""

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return (await ctx.invoke("child", elsewhere, data)).n

    async with bench.session(body, elsewhere) as session:
        expect(await (await session.start(body, Input(n=21))).result(), 42)


@case("children")
async def a_child_runs_once(bench: Bench) -> None:
    """A child runs once, however often its parent's body does."""
    children, bodies = [], []

    @on(name="child")
    async def child(data: Input) -> int:
        children.append(data.n)
        return data.n

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        bodies.append(1)
        first = await ctx.invoke("child", child, Input(n=1))
        await ctx.sleep("pause", bench.pause)
        second = await ctx.invoke("child", child, Input(n=2))
        await ctx.sleep("pause", bench.pause)
        return [first, second]

    async with bench.session(body, child) as session:
        expect(await (await session.start(body, Input())).result(), [1, 2])
    expect(children, [1, 2])
    expect(len(bodies) > 1, True)


@case("children")
async def a_child_that_fails(bench: Bench) -> None:
    """A child that fails for good raises StepFailed, named JobFailed, with the child's reason."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.invoke("child", refuse, Input(n=3))
        except StepFailed as failed:
            return f"{failed.step}: {failed.name}: {failed.message}"
        return "no failure"

    async with bench.session(body, refuse) as session:
        expect(await (await session.start(body, Input())).result(), "child: JobFailed: not 3")


@case("children")
async def an_uncaught_child_failure(bench: Bench) -> None:
    """A child's failure that nobody catches fails the parent."""

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return (await ctx.invoke("child", refuse, Input(n=3))).n

    async with bench.session(body, refuse) as session:
        why = await reason(await session.start(body, Input()))
    expect_in("the step 'child' failed: JobFailed: not 3", why)


@case("children")
async def a_failed_child_is_not_started_again(bench: Bench) -> None:
    """A child that failed, and whose failure was caught, does not run again."""
    children = []

    @on(name="child")
    async def child(data: Input) -> int:
        children.append(1)
        raise GiveUp("no")

    @on()
    async def body(data: Input, ctx: Context) -> str:
        try:
            await ctx.invoke("child", child, Input())
        except StepFailed:
            await ctx.sleep("pause", bench.pause)
            return "went on"
        return "no failure"

    async with bench.session(body, child) as session:
        expect(await (await session.start(body, Input())).result(), "went on")
    expect(children, [1])


@case("children")
async def a_child_is_tried_by_its_own_attempts(bench: Bench) -> None:
    """A child that fails at first is tried again by its own attempts; the parent waits."""
    children = []

    @on(name="child")
    async def child(data: Input, ctx: Context) -> int:
        children.append(ctx.job_attempt)
        if ctx.job_attempt == 1:
            raise ValueError("not yet")
        return 5

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return await ctx.invoke("child", child, Input())

    async with bench.session(body, child) as session:
        expect(await (await session.start(body, Input())).result(), 5)
    expect(children, [1, 2])


@case("children")
async def children_at_once(bench: Bench) -> None:
    """Children may be invoked at once, beside other steps, one of them failing."""

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        async def failing() -> int:
            try:
                return (await ctx.invoke("bad", refuse, Input(n=3))).n
            except StepFailed:
                return -1

        async def doubled(n: int) -> int:
            return (await ctx.invoke(f"child {n}", double, Input(n=n))).n

        return list(
            await ctx.parallel(
                lambda: doubled(1), lambda: doubled(2), failing, lambda: ctx.run("own", lambda: 9)
            )
        )

    async with bench.session(body, double, refuse) as session:
        expect(await (await session.start(body, Input())).result(), [2, 4, -1, 9])


@case("children")
async def a_child_beside_a_sleep(bench: Bench) -> None:
    """A child may be awaited beside a sleep."""

    @on()
    async def body(data: Input, ctx: Context) -> int:
        made, _ = await ctx.parallel(
            lambda: ctx.invoke("child", double, Input(n=4)),
            lambda: ctx.sleep("pause", bench.pause),
        )
        return made.n

    async with bench.session(body, double) as session:
        expect(await (await session.start(body, Input())).result(), 8)


@case("children")
async def a_branch_goes_on_when_its_child_has_ended(bench: Bench) -> None:
    """A branch goes on when its child has ended, whatever another branch waits for."""

    @on()
    async def body(data: Input, ctx: Context) -> list[object]:
        async def asks() -> int:
            made = await ctx.invoke("child", double, Input(n=4))
            await ctx.run("tell", body.send_event, ctx.job_id, "made", made.n)
            return made.n

        return list(await ctx.parallel(asks, lambda: ctx.wait_for("made", "made", 3600)))

    async with bench.session(body, double) as session:
        expect(await (await session.start(body, Input())).result(), [8, 8])


@case("children")
async def children_have_children(bench: Bench) -> None:
    """A child may invoke another job, and sleep."""

    @on(name="middle")
    async def middle(data: Input, ctx: Context) -> int:
        await ctx.sleep("pause", bench.pause)
        return (await ctx.invoke("leaf", double, data)).n + 1

    @on()
    async def body(data: Input, ctx: Context) -> int:
        return await ctx.invoke("middle", middle, data) + 1

    async with bench.session(body, middle, double) as session:
        expect(await (await session.start(body, Input(n=5))).result(), 12)


@case("children")
async def dispatch_starts_a_job_once(bench: Bench) -> None:
    """ctx.dispatch starts another job once, under the same id each time, and does not wait."""
    children, ids = [], []

    @on(name="child")
    async def child(data: Input, ctx: Context) -> None:
        children.append(ctx.job_id)

    @on()
    async def body(data: Input, ctx: Context) -> str:
        ids.append(await ctx.dispatch("child", child, Input()))
        await ctx.sleep("pause", bench.pause * 2)
        return ids[-1]

    async with bench.session(body, child) as session:
        run = await session.start(body, Input())
        child_id = await run.result()
    expect(children, [child_id])
    expect(set(ids), {child_id})
    expect(child_id.startswith(run.id), True)


@case("children")
async def dispatched_jobs_fail_alone(bench: Bench) -> None:
    """A dispatched job that fails does not fail the one that started it."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.dispatch("child", refuse, Input())
        await ctx.sleep("pause", bench.pause)
        return "done"

    async with bench.session(body, refuse) as session:
        expect(await (await session.start(body, Input())).result(), "done")


@case("children")
async def a_childs_child_is_another_one(bench: Bench) -> None:
    """A child of a child is not taken for a child whose step's id has a dot in it."""

    @on(name="leaf")
    async def leaf(data: Input) -> int:
        return data.n

    @on(name="middle")
    async def middle(data: Input, ctx: Context) -> int:
        return await ctx.invoke("b", leaf, Input(n=1))

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        below = await ctx.invoke("a", middle, Input())
        return [below, await ctx.invoke("a.b", leaf, Input(n=2))]

    async with bench.session(body, middle, leaf) as session:
        expect(await (await session.start(body, Input())).result(), [1, 2])

"""Cases: events that jobs wait for, early, in time, late and never."""

from __future__ import annotations

from bullq.errors import ActionRefused, JobNotFound
from bullq.jobs.context import Context
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


@on(name="waits")
async def waits(data: Input, ctx: Context) -> str:
    """Wait for a payment."""
    paid = await ctx.wait_for("payment", "paid", 3600, Output)
    return "nothing came" if paid is None else f"paid {paid.n}"


@case("events")
async def an_event_ends_its_wait(bench: Bench) -> None:
    """An event that is sent while the job waits ends the wait and gives its typed payload."""
    async with bench.session(waits) as session:
        run = await session.start(waits, Input())
        await session.until_paused(run)
        await waits.send_event(run.id, "paid", Output(n=7))
        expect(await run.result(), "paid 7")


@case("events")
async def an_event_may_come_early(bench: Bench) -> None:
    """An event that is sent before the wait is kept for it."""

    @on()
    async def body(data: Input, ctx: Context) -> int:
        await ctx.sleep("pause", bench.pause * 2)
        paid = await ctx.wait_for("payment", "paid", 3600, Output)
        return 0 if paid is None else paid.n

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await body.send_event(run.id, "paid", {"n": 3})
        expect(await run.result(), 3)


@case("events")
async def a_wait_ends_in_time(bench: Bench) -> None:
    """A wait whose event does not come gives None after its timeout."""

    @on()
    async def body(data: Input, ctx: Context) -> str:
        return repr(await ctx.wait_for("payment", "paid", bench.pause))

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), "None")


@case("events")
async def a_wait_of_no_time(bench: Bench) -> None:
    """A wait with a timeout of 0 looks whether the event is there."""

    @on()
    async def body(data: Input, ctx: Context) -> list[object]:
        before = await ctx.wait_for("before", "paid", 0)
        await ctx.sleep("pause", bench.pause * 2)
        return [before, await ctx.wait_for("after", "paid", 0)]

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await body.send_event(run.id, "paid", "yes")
        expect(await run.result(), [None, "yes"])


@case("events")
async def a_look_finds_what_came_meanwhile(bench: Bench) -> None:
    """A look also finds an event that has come since this run of the body began."""

    @on()
    async def body(data: Input, ctx: Context) -> list[object]:
        async def send() -> None:
            await body.send_event(ctx.job_id, "paid", "yes")

        await ctx.run("send", send)
        return [await ctx.wait_for("look", "paid", 0), await ctx.wait_for("again", "paid", 0)]

    async with bench.session(body) as session:
        expect(await (await session.start(body, Input())).result(), ["yes", None])


@case("events")
async def an_event_of_another_type(bench: Bench) -> None:
    """An event whose payload is not of the wait's type fails the job, naming step and event."""
    async with bench.session(waits) as session:
        run = await session.start(waits, Input())
        await session.until_paused(run)
        await waits.send_event(run.id, "paid", "much")
        expect_in("the event 'paid', for which the step", await reason(run))


@case("events")
async def each_event_is_given_once(bench: Bench) -> None:
    """Two events of a name are given to two waits, the oldest first."""

    @on()
    async def body(data: Input, ctx: Context) -> list[int]:
        await ctx.sleep("pause", bench.pause * 2)
        return [await ctx.wait_for("step", "step", 3600) for _ in range(3)]

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        for n in (1, 2, 3):
            await body.send_event(run.id, "step", n)
        expect(await run.result(), [1, 2, 3])


@case("events")
async def other_events_do_not_end_a_wait(bench: Bench) -> None:
    """An event of another name does not end a wait."""
    async with bench.session(waits) as session:
        run = await session.start(waits, Input())
        await session.until_paused(run)
        await waits.send_event(run.id, "unpaid", Output(n=1))
        await session.until_paused(run)
        await waits.send_event(run.id, "paid", Output(n=2))
        expect(await run.result(), "paid 2")


@case("events")
async def an_event_is_remembered(bench: Bench) -> None:
    """What a wait gave is given again in later runs of the body."""
    seen = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        seen.append(await ctx.wait_for("first", "go", 3600))
        await ctx.sleep("pause", bench.pause)
        await ctx.run("effect", lambda: 1)
        await ctx.sleep("again", bench.pause)
        return len(seen)

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await body.send_event(run.id, "go", ["ключ"])
        expect(await run.result() > 1, True)
    expect(all(one == ["ключ"] for one in seen), True)


@case("events")
async def a_timeout_is_remembered(bench: Bench) -> None:
    """A wait that timed out stays so, even where the event comes later."""
    seen = []

    @on()
    async def body(data: Input, ctx: Context) -> int:
        seen.append(await ctx.wait_for("first", "go", bench.pause))
        await ctx.run("effect", lambda: 1)
        await ctx.sleep("pause", bench.pause * 2)
        return len(seen)

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await session.pass_time(bench.pause + bench.tick)
        await session.until_paused(run)
        await body.send_event(run.id, "go", "late")
        await run.result()
    expect(set(seen), {None})


@case("events")
async def waits_at_once(bench: Bench) -> None:
    """A job may wait for two events at once, in whichever order they come."""

    @on()
    async def body(data: Input, ctx: Context) -> list[str | None]:
        return list(
            await ctx.parallel(
                lambda: ctx.wait_for("a", "a", 3600, str), lambda: ctx.wait_for("b", "b", 3600, str)
            )
        )

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await body.send_event(run.id, "b", "second")
        await session.until_paused(run)
        await body.send_event(run.id, "a", "first")
        expect(await run.result(), ["first", "second"])


@case("events")
async def an_event_does_not_end_a_sleep(bench: Bench) -> None:
    """An event that comes while the job sleeps does not end the sleep."""
    awake = []

    @on()
    async def body(data: Input, ctx: Context) -> str:
        await ctx.sleep("pause", bench.pause * 4)
        awake.append(1)
        return "awake"

    async with bench.session(body) as session:
        run = await session.start(body, Input())
        await session.until_paused(run)
        await body.send_event(run.id, "paid")
        await session.until_paused(run)
        expect(awake, [])
        expect(await run.result(), "awake")


@case("events", needs=("refusals",))
async def events_to_nobody_are_refused(bench: Bench) -> None:
    """An event to a job that is not there, or has ended, is refused."""
    async with bench.session(waits) as session:
        await failure(JobNotFound, waits.send_event("nobody", "paid"))
        run = await session.start(waits, Input())
        await session.until_paused(run)
        await waits.send_event(run.id, "paid", Output(n=1))
        await run.result()
        await failure(ActionRefused, waits.send_event(run.id, "paid", Output(n=2)))

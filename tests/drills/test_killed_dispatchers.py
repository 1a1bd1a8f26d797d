"""A dispatcher that is killed, or whose caller goes, between any two steps of its event loop.

Usually at every fifteenth step from a random one on; BULLQ_TEST_DRILLS=long: at every one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.dispatcher_process import Order
from tests.drills.history import DECIDED, STARTED, jobs_that
from tests.drills.link import Failure
from tests.drills.site import Dispatchers, Site, dispatchers, job_ids, say
from tests.drills.test_cut_links import SCENES, Scene
from tests.drills.variants import broken

STRIDE = 1 if LONG else 15
AT_ONCE = 4
FEWEST_STEPS = 30


async def stopped_everywhere(
    place: Site, fleet: Dispatchers, how: str, steps: Callable[[int], range], **order: Any
) -> None:
    """Have a dispatcher for each step, of one job or *at_once*, which is stopped there."""

    async def one(name: str, **stop: Any) -> None:
        jobs = [("errand", job_id) for job_id in job_ids(order.get("at_once", 1), name)]
        pid = await fleet.start(Order(settings=place.settings(), jobs=jobs, **order, **stop))
        await fleet.ended(pid)

    count = place.history.path.with_name("steps")
    await one("whole", steps=count)
    taken = int(count.read_text())
    assert taken >= FEWEST_STEPS
    left = iter(steps(taken))

    async def one_after_the_other() -> None:
        for step in left:
            await one(f"{how}-{step}", **{how: step})

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    say(f"{how}: {taken} steps")


async def drill(
    place: Site,
    scene: Scene,
    how: str,
    chance: random.Random,
    first: int | None = None,
    **order: Any,
) -> Verdict:
    first = first or chance.randint(1, STRIDE)
    if not scene.inngest:
        place.outboxes = [place.history.path.with_name("outbox.db")]
        place.inngest.fail(Failure.AWAY)
        place.redis.fail(Failure.AWAY)
    async with dispatchers(place) as fleet:
        stopping = stopped_everywhere(
            place, fleet, how, lambda taken: range(first, taken + 1, STRIDE), **order
        )
        if scene.works:
            async with place.worker():
                await stopping
        else:
            await stopping
    await place.redis.mend()
    async with contextlib.AsyncExitStack() as stack:
        if scene.works or not scene.inngest:  # else the sweeper of Inngest's side has to see to all
            await stack.enter_async_context(place.worker())
        app = await stack.enter_async_context(place.dispatcher())
        await stack.enter_async_context(app.relaying())
        verdict = await place.judged()
    say(verdict)
    return verdict


@pytest.mark.parametrize("scene", SCENES)
async def test_a_dispatcher_killed_anywhere_loses_nothing(
    place: Site, scene: str, chance: random.Random
) -> None:
    verdict = await drill(place, SCENES[scene], "kill_at", chance)
    assert not verdict.faults, verdict
    assert verdict.counts["killed"] > 1


def half_decided(place: Site) -> set[str]:
    """Name the jobs that an engine has begun, though their dispatch has not come to its end."""
    entries = place.history.entries()
    return jobs_that(entries, STARTED) - jobs_that(entries, DECIDED)


@pytest.mark.parametrize("scene", SCENES)
async def test_a_caller_that_goes_anywhere_leaves_a_whole_decision(
    place: Site, scene: str, chance: random.Random
) -> None:
    verdict = await drill(place, SCENES[scene], "cancel_at", chance)
    assert not verdict.faults, verdict
    assert not half_decided(place)
    assert verdict.counts["raised"] > 1


async def test_killed_dispatchers_catch_idle_sweeper(place: Site, chance: random.Random) -> None:
    place.impatience = 3
    seen: set[str] = set()
    # A job is on its queue, and nobody's yet, for a few steps only: one of the strides meets them.
    firsts = chance.sample(range(1, STRIDE + 1), STRIDE)
    with broken("idle_sweeper"):
        while firsts and "stranded" not in seen:
            seen |= (
                await drill(place, SCENES["routed"], "kill_at", chance, firsts.pop(), at_once=10)
            ).faults.keys()
    assert "stranded" in seen


async def test_killed_dispatchers_catch_careless_relay(place: Site, chance: random.Random) -> None:
    with broken("careless_relay"):
        verdict = await drill(place, SCENES["kept"], "kill_at", chance)
    assert "lost" in verdict.faults


async def test_callers_that_go_catch_unshielded_decision(
    place: Site, chance: random.Random
) -> None:
    firsts = chance.sample(range(1, STRIDE + 1), STRIDE)
    while firsts and not half_decided(place):
        order = {"first": firsts.pop(), "variant": "unshielded_decision"}
        await drill(place, SCENES["begun"], "cancel_at", chance, **order)
    assert half_decided(place)

"""Both engines are down, and the dispatcher is killed meanwhile: what was accepted runs, once.

Usually 300 dispatches in a second or two; BULLQ_TEST_DRILLS=long: 5,000 in 60.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from bullq.dispatch import relay
from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.dispatcher_process import Order
from tests.drills.history import ACCEPTED, FINISHED, jobs_that
from tests.drills.link import Failure
from tests.drills.site import Site, dispatchers, job_ids, say
from tests.support.deadline import DEADLINE

DISPATCHES, OUTAGE = (5_000, 60.0) if LONG else (300, 1.0)
AT_ONCE, PACE = 20, 0.05


async def accepted(place: Site, count: int) -> set[str]:
    """Wait until so many jobs are accepted, and name them."""
    async with asyncio.timeout(OUTAGE + DEADLINE):
        while len(found := jobs_that(place.history.entries(), ACCEPTED)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


async def drill(place: Site, chance: random.Random, variant: str | None = None) -> Verdict:
    place.outboxes = [place.history.path.with_name("outbox.db")]
    jobs = [(chance.choice(["errand", "prompt", "local"]), one) for one in job_ids(DISPATCHES)]
    async with place.worker(), dispatchers(place) as fleet:
        place.server.kill()
        place.inngest.fail(Failure.AWAY)
        over = asyncio.get_running_loop().time() + OUTAGE
        terms = {"settings": place.settings(), "at_once": AT_ONCE, "pace": PACE, "variant": variant}
        if LONG:
            terms["lease"] = relay._LEASE
        first = await fleet.start(Order(jobs=jobs, **terms))
        await accepted(place, chance.randint(DISPATCHES // 3, DISPATCHES // 2))
        await fleet.kill(first)
        done = jobs_that(place.history.entries(), ACCEPTED)
        rest = [one for one in jobs if one[1] not in done]
        second = await fleet.start(Order(jobs=rest, stays=True, **terms))
        await accepted(place, DISPATCHES)
        await asyncio.sleep(over - asyncio.get_running_loop().time())
        began = time.time()
        await place.inngest.mend()
        await asyncio.to_thread(place.server.start)
        verdict = await place.judged()
        ends = [one.at for one in place.history.entries() if one.what == FINISHED]
        say(f"{verdict}; drained {max(ends, default=began) - began:.1f} s after recovery")
        await fleet.stop(second)
    return verdict


async def test_what_was_accepted_in_an_outage_runs_once(
    own_place: Site, chance: random.Random
) -> None:
    verdict = await drill(own_place, chance)
    assert not verdict.faults, verdict
    assert verdict.counts["accepted"] == verdict.counts["on outbox"] == DISPATCHES
    assert len(jobs_that(own_place.history.entries(), FINISHED)) == DISPATCHES
    assert verdict.counts["killed"] == 1


@pytest.mark.parametrize("variant", ["forgotten_outbox"])
async def test_outages_catch(own_place: Site, chance: random.Random, variant: str) -> None:
    assert "lost" in (await drill(own_place, chance, variant)).faults

"""Dispatches while one reply in ten gets lost on its way, from Redis and from Inngest.

BULLQ_TEST_DRILLS=long: 10,000 of them.
"""

from __future__ import annotations

import contextlib
import random
from unittest.mock import patch

import pytest

from bullq.dispatch.breaker import Breaker
from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.link import Losses
from tests.drills.sending import send_all
from tests.drills.site import Site, caught, job_ids, say
from tests.drills.variants import broken

DISPATCHES = 10_000 if LONG else 150
AT_ONCE = 20
SHARE = 0.1
KINDS = ["errand", "prompt"]


async def drill(place: Site, chance: random.Random, *, spared: bool = False) -> Verdict:
    """Dispatch through lossy links; an engine that failed a moment ago is *spared* or not."""
    place.redis.losses = Losses(SHARE, chance)
    place.inngest.losses = Losses(SHARE, chance)
    jobs = [(chance.choice(KINDS), one) for one in job_ids(DISPATCHES)]
    with contextlib.ExitStack() as stack:
        if not spared:
            stack.enter_context(patch.object(Breaker, "lets_pass", return_value=True))
        async with place.worker(), place.dispatcher() as app:
            await send_all(app, place.history, jobs, at_once=AT_ONCE)
            verdict = await place.judged()
    say(f"{verdict}; {place.redis.losses.lost} replies of Redis lost")
    return verdict


@pytest.mark.parametrize("spared", [True, False], ids=["with-breakers", "without"])
async def test_no_job_is_lost_or_runs_twice(
    place: Site, chance: random.Random, *, spared: bool
) -> None:
    verdict = await drill(place, chance, spared=spared)
    assert not verdict.faults, verdict
    assert verdict.counts["asked"] == DISPATCHES
    assert verdict.counts["accepted"] + verdict.counts["raised"] == DISPATCHES


@pytest.mark.parametrize(
    ("variant", "fault"), [("unknown_taken_for_no", "both"), ("unguarded_event", "both")]
)
async def test_dropped_replies_catch(
    place: Site, chance: random.Random, variant: str, fault: str
) -> None:
    with broken(variant):
        assert await caught(fault, lambda: drill(place, chance))

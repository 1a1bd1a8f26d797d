"""Redis loses all data under load, again and again: each job in doubt is handled by its policy.

Usually 400 dispatches and 8 losses; BULLQ_TEST_DRILLS=long: 10,000 and 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from bullq import Reason
from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.history import ACCEPTED, ASKED, WIPED, jobs_that
from tests.drills.sending import send_all
from tests.drills.site import Site, caught, job_ids, say
from tests.drills.variants import broken
from tests.support.deadline import DEADLINE

DISPATCHES, LOSSES = (10_000, 200) if LONG else (400, 8)
AT_ONCE = 40
POLICIES = {"raise": "prompt", "rerun": "again", "drop": "optional"}
# A busy machine must not look like a silent Redis: only the losses are what this drill is about.
PATIENT = {
    "BULLQ_DISPATCH_DEADLINE": "30s",
    "BULLQ_REDIS_TIMEOUT": "6s",
    "BULLQ_PICKUP_TIMEOUT": "250ms",
}


@contextlib.asynccontextmanager
async def losing(place: Site, losses: int, every: int) -> AsyncIterator[None]:
    """Wipe the server so many times, each after *every* more dispatches have begun."""

    before = len(jobs_that(place.history.entries(), ASKED))

    async def lose() -> None:
        client = place.own.store.client()
        for number in range(1, losses + 1):
            until = before + number * every
            async with asyncio.timeout(DEADLINE):
                while len(jobs_that(place.history.entries(), ASKED)) < until:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            place.history.note(WIPED)
            await client.flushall()

    task = asyncio.create_task(lose())
    try:
        yield
    finally:
        await task


async def drill(place: Site, chance: random.Random) -> Verdict:
    jobs = [(chance.choice(list(POLICIES.values())), one) for one in job_ids(DISPATCHES)]
    every = DISPATCHES // (LOSSES + 1)
    # Slow jobs and few slots: at each loss some run, some wait, and some are being added.
    async with place.worker(concurrency=8), place.dispatcher(**PATIENT) as app:
        async with losing(place, LOSSES, every):
            await send_all(app, place.history, jobs, at_once=AT_ONCE, pause=0.01)
        verdict = await place.judged()
    say(verdict)
    return verdict


async def test_lost_data_is_raised_or_handled_and_never_silent(
    own_place: Site, chance: random.Random
) -> None:
    verdict = await drill(own_place, chance)
    assert not verdict.faults, verdict
    assert verdict.counts["wiped"] == LOSSES
    entries = own_place.history.entries()
    raised = {one.job: one.more["error"] for one in entries if one.what == "raised"}
    dropped = jobs_that(entries, ACCEPTED, state="dropped")
    said = {one.more["reason"] for one in entries if one.job in dropped and one.what == ACCEPTED}
    assert not raised.keys() & jobs_that(entries, ASKED, policy="drop")
    assert all(error.startswith("DispatchInDoubt") for error in raised.values())
    assert dropped <= jobs_that(entries, ASKED, policy="drop")
    assert said <= {Reason.DATA_LOST.value}
    assert raised
    assert dropped


@pytest.mark.parametrize(
    ("variant", "fault"), [("forgotten_epoch", "lost"), ("believed_add", "lost")]
)
async def test_lost_data_catches(
    own_place: Site, chance: random.Random, variant: str, fault: str
) -> None:
    with broken(variant):
        assert await caught(fault, lambda: drill(own_place, chance))

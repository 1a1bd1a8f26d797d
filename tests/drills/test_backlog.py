"""A long queue with live workers, and a paused one: nothing falls back, and the receipt says why.

Usually 800 jobs are ahead, of Node workers; BULLQ_TEST_DRILLS=long: 10,000.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest

from bullq import Reason
from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.history import ACCEPTED, STARTED, jobs_that
from tests.drills.jobs import QUEUE
from tests.drills.sending import send_all
from tests.drills.site import Site, job_ids, say
from tests.drills.variants import broken
from tests.support.no_silent_skips import NODE, need

BACKLOG = 10_000 if LONG else 800
DISPATCHES = 500 if LONG else 60
SLOW = {
    "BULLQ_PICKUP_TIMEOUT": "100ms",
    "BULLQ_DISPATCH_DEADLINE": "10s",
    "BULLQ_REDIS_TIMEOUT": "2s",
}


async def fill(place: Site) -> None:
    """Put jobs on the queue without a dispatcher's care, as other services would."""
    queue = place.own.queue(QUEUE)
    plain = [("local", one) for one in job_ids(BACKLOG)]
    async with place.dispatcher(**SLOW) as app:
        await queue.control.pause()
        await send_all(app, place.history, plain, at_once=500, pause=0.02)


async def drill(place: Site, kind: str | None) -> Verdict:
    """Dispatch behind a backlog of live workers of a *kind*; None: to a paused queue."""
    queue = place.own.queue(QUEUE)
    await fill(place)
    async with contextlib.AsyncExitStack() as stack:
        if kind is not None:
            await queue.control.resume()
            await stack.enter_async_context(place.worker_process(kind))
            await place.begun(1)
        app = await stack.enter_async_context(place.dispatcher(**SLOW))
        jobs = [("errand", one) for one in job_ids(DISPATCHES, "behind")]
        await send_all(app, place.history, jobs, at_once=DISPATCHES)
        if kind is None:
            await stack.enter_async_context(place.worker_process("bullq"))
            await place.workers(1)
            await queue.control.resume()
        verdict = await place.judged()
    say(f"{kind}: {verdict} {told(place)}")
    return verdict


def told(place: Site) -> Counter[tuple[str, str | None]]:
    """Count what receipts said of the jobs behind the backlog: engine and reason."""
    return Counter(
        (entry.engine, entry.more["reason"])
        for entry in place.history.entries()
        if entry.what == ACCEPTED and entry.job.startswith("behind")
    )


def fell_back(place: Site) -> set[str]:
    return jobs_that(place.history.entries(), STARTED, engine="inngest")


@pytest.mark.parametrize("kind", ["bullq", "python", "bullmq", "bullmq5"] if LONG else ["bullmq"])
async def test_jobs_behind_a_backlog_stay_where_live_workers_come_to_them(
    place: Site, kind: str
) -> None:
    if kind.startswith("bullmq"):
        need(NODE)
    verdict = await drill(place, kind)
    assert not verdict.faults, verdict
    assert not fell_back(place)
    assert told(place)["bullmq", Reason.BACKLOG]
    assert {engine for engine, _ in told(place)} == {"bullmq"}


async def test_jobs_of_a_paused_queue_stay(place: Site) -> None:
    verdict = await drill(place, None)
    assert not verdict.faults, verdict
    assert not fell_back(place)
    assert told(place) == {("bullmq", Reason.PAUSED): DISPATCHES}


async def test_backlogs_catch_impatience(place: Site) -> None:
    with broken("impatience"):
        await drill(place, "bullq")
    assert fell_back(place)

"""What scenarios are put together from: things that are done to queues."""

from __future__ import annotations

from typing import Any

from tests.interop.branch import Branch
from tests.interop.cell import Act, Ends, Phase, Scenario
from tests.interop.hands import Hand

Job = tuple[dict[str, Any], dict[str, Any]]
"""A payload, and the job's options."""

OK: dict[str, Any] = {"result": 1}
FAILS: dict[str, Any] = {"failures": 9}
HOUR = 3_600_000


def adding(*jobs: Job) -> Act:
    """Add jobs called job-1, job-2, ..., with one try each if their options do not say."""

    async def act(hand: Hand) -> None:
        for number, (data, options) in enumerate(jobs, start=1):
            await hand.add("default", data, **{"jobId": f"job-{number}", "attempts": 1, **options})

    return act


def to_queue(what: str, *args: Any) -> Act:
    async def act(hand: Hand) -> None:
        await hand.queue("default", what, *args)

    return act


def to_job(what: str, *args: Any, queue: str = "default", job: str = "job-1") -> Act:
    async def act(hand: Hand) -> None:
        await hand.job(queue, job, what, *args)

    return act


def putting(**fields: str) -> Act:
    async def act(hand: Hand) -> None:
        await hand.put("default", "job-1", fields)

    return act


def flowing(branch: Branch) -> Act:
    async def act(hand: Hand) -> None:
        await hand.flow(branch)

    return act


def all_of(*acts: Act) -> Act:
    async def act(hand: Hand) -> None:
        for one in acts:
            await one(hand)

    return act


def worked(
    feature: str, *jobs: Job, event: str = "completed", count: int = 1, **more: Any
) -> Scenario:
    """Add jobs, and work until *count* of them have ended so."""
    return Scenario(feature, (Phase(adding(*jobs), (Ends(event, count),)),), **more)


def done(feature: str, *acts: Act, count: int = 1, **more: Any) -> Scenario:
    """Do things to the queue, and then work until *count* jobs have completed; 0: do not work."""
    ends = (Ends(count=count),) if count else ()
    return Scenario(feature, (Phase(all_of(*acts), ends),), **more)

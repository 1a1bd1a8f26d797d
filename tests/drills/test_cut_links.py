"""A dispatch whose link to an engine fails at each of its requests, before and after execution.

BULLQ_TEST_DRILLS=long: also by what comes late.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.link import Break, Chunks, Cutter, Failure, Frames, Moment, linked
from tests.drills.sending import send
from tests.drills.site import Site, job_ids, say
from tests.drills.variants import broken

AT_ONCE = 4
FAILURES = list(Failure) if LONG else [Failure.CUT, Failure.AWAY, Failure.SILENT]
_HEARD = {"BULLQ_REDIS_TIMEOUT": "2s"}  # a busy machine must not look like a silent Redis
_NOT_HEARD = {"BULLQ_REDIS_TIMEOUT": "150ms"}
PATIENCE = {
    Failure.CUT: _HEARD,
    Failure.AWAY: _HEARD,
    Failure.SILENT: _NOT_HEARD,
    Failure.LATE: _NOT_HEARD,
}
FEWEST = {"redis": 8, "inngest": 2}
"""Requests of a dispatch, else the drill has not gone through it."""


@dataclass(frozen=True)
class Scene:
    """How the engines do while a dispatch is cut. Without Inngest there is an outbox."""

    works: bool
    inngest: bool


SCENES = {
    "begun": Scene(works=True, inngest=True),
    "routed": Scene(works=False, inngest=True),
    "kept": Scene(works=True, inngest=False),
}


@dataclass(frozen=True)
class Cable:
    """Which link fails, and how one reaches a dispatcher."""

    name: str
    port: int
    cutter: type[Cutter]

    def settings(self, port: int) -> dict[str, Any]:
        if self.name == "redis":
            return {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        # Silence lasts for as long as the deadline lets it.
        return {"INNGEST_BASE_URL": f"http://127.0.0.1:{port}", "BULLQ_DISPATCH_DEADLINE": "2s"}


async def cut_at(place: Site, cable: Cable, planned: Break) -> bool:
    """Dispatch one job whose link fails as planned; tell whether there was such a request."""
    name = f"{planned.moment.value}-{planned.failure.value}-{planned.number}"
    async with linked(cable.port, cutter=cable.cutter) as link:
        link.planned = planned
        settings = {**PATIENCE[planned.failure], **cable.settings(link.port)}
        async with place.dispatcher(**settings) as app:
            await send(app, place.history, "errand", *job_ids(1, name))
            has_failed = link.broken.is_set()
            await link.mend()
    return has_failed


async def cut_everywhere(place: Site, cable: Cable, moment: Moment, failure: Failure) -> int:
    """Dispatch jobs whose link fails at one request after the other; give how many there are."""
    for first in itertools.count(1, AT_ONCE):
        plans = [Break(number, moment, failure) for number in range(first, first + AT_ONCE)]
        told = await asyncio.gather(*(cut_at(place, cable, planned) for planned in plans))
        if not any(told):
            return first - 1
    raise AssertionError("unreachable")


async def drill(
    place: Site, scene: Scene, cable: str, folder: Path, failures: Iterable[Failure] = FAILURES
) -> Verdict:
    if not scene.inngest:
        place.outboxes = [folder / "outbox.db"]
        place.inngest.fail(Failure.AWAY)
    cut = {
        "redis": Cable("redis", place.server.port, Frames),
        "inngest": Cable("inngest", place.inngest.port, Chunks),
    }[cable]
    ways = list(itertools.product(Moment, failures))
    everywhere = asyncio.gather(*(cut_everywhere(place, cut, *way) for way in ways))
    if scene.works:
        async with place.worker():
            counts = await everywhere
    else:
        counts = await everywhere
    say(
        {
            f"{moment.value} {failure.value}": n
            for (moment, failure), n in zip(ways, counts, strict=True)
        }
    )
    assert max(counts) >= FEWEST[cable]  # a slow machine sends fewer where it looks silent
    async with place.worker(), place.dispatcher() as app, app.relaying():
        verdict = await place.judged()
    say(verdict)
    return verdict


@pytest.mark.parametrize(
    ("scene", "cable"),
    [("begun", "redis"), ("routed", "redis"), ("kept", "redis"), ("routed", "inngest")],
)
async def test_a_link_cut_at_any_request_loses_nothing(
    place: Site, scene: str, cable: str, tmp_path: Path
) -> None:
    verdict = await drill(place, SCENES[scene], cable, tmp_path)
    assert not verdict.faults, verdict


@pytest.mark.parametrize(
    ("scene", "failure", "variant", "fault"),
    [
        ("begun", Failure.SILENT, "unguarded_event", "both"),
        ("routed", Failure.CUT, "skipped_settle", "both"),
        ("kept", Failure.AWAY, "forgotten_outbox", "lost"),
        ("kept", Failure.AWAY, "careless_relay", "lost"),
    ],
)
async def test_cut_links_catch(  # noqa: PLR0917 - pytest gives them by name
    place: Site, scene: str, failure: Failure, variant: str, fault: str, tmp_path: Path
) -> None:
    with broken(variant):
        verdict = await drill(place, SCENES[scene], "redis", tmp_path, [failure])
    assert fault in verdict.faults

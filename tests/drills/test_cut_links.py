"""A dispatch whose link to an engine fails at each of its requests, before and after execution."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.drills.checker import Verdict
from tests.drills.link import Break, Chunks, Cutter, Failure, Frames, Moment, linked
from tests.drills.sending import send
from tests.drills.site import Site, job_ids, say
from tests.drills.variants import broken

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
        return {"INNGEST_BASE_URL": f"http://127.0.0.1:{port}"}


async def cut_everywhere(place: Site, cable: Cable, moment: Moment, failure: Failure) -> int:
    """Dispatch one job for each request, that fails; give how many there were."""
    for number in itertools.count(1):
        [job_id] = job_ids(1, f"{moment.value}-{failure.value}-{number}")
        async with linked(cable.port, cutter=cable.cutter) as link:
            link.planned = Break(number, moment, failure)
            async with place.dispatcher(**cable.settings(link.port)) as app:
                await send(app, place.history, "errand", job_id)
                has_failed = link.broken.is_set()
                await link.mend()
        if not has_failed:
            return number - 1
    raise AssertionError("unreachable")


async def drill(place: Site, scene: Scene, cable: str, folder: Path) -> Verdict:
    if not scene.inngest:
        place.outboxes = [folder / "outbox.db"]
        place.inngest.fail(Failure.AWAY)
    cut = {
        "redis": Cable("redis", place.server.port, Frames),
        "inngest": Cable("inngest", place.inngest.port, Chunks),
    }[cable]
    ways = list(itertools.product(Moment, Failure))
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
    assert min(counts) >= FEWEST[cable]
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
    ("scene", "variant", "fault"),
    [
        ("begun", "unguarded_event", "both"),
        ("routed", "skipped_settle", "both"),
        ("kept", "forgotten_outbox", "lost"),
        ("kept", "careless_relay", "lost"),
    ],
)
async def test_cut_links_catch(
    place: Site, scene: str, variant: str, fault: str, tmp_path: Path
) -> None:
    with broken(variant):
        assert fault in (await drill(place, SCENES[scene], "redis", tmp_path)).faults

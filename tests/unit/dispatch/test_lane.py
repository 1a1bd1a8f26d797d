"""What many dispatches ask for together is answered to each one on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bullq import InvalidOptionError, StoreUnavailable
from bullq.dispatch.lane import Admitted, Lane
from bullq.protocol.keys import QueueKeys
from bullq.store.adding import JobKind, NewJob
from bullq.store.arbiter import Added, Adding, Confirmation, ConfirmedAdds, Pickup
from bullq.store.connection import Store

KIND = JobKind("job", {})


class Arbiter:
    """Adds what it is told, but for what it cannot take, and hears what is sent along."""

    def __init__(self, *, impossible: str = "", gone_for: int = 0) -> None:
        self.impossible = impossible
        self.gone_for = gone_for
        self.calls: list[list[str]] = []
        self.seen: list[str] = []

    async def add_confirmed(
        self, jobs: Sequence[NewJob], confirmation: Confirmation, **given: Any
    ) -> ConfirmedAdds:
        self.calls.append([job.id for job in jobs])
        self.seen += given["seen"]
        if confirmation.timeout_ms == self.gone_for:
            raise StoreUnavailable("Redis went away before this was sent")
        if self.impossible in self.calls[-1]:
            raise ValueError("no text")
        return ConfirmedAdds("epoch", [Added(Adding.ADDED, job.id) for job in jobs])


def a_lane(arbiter: Arbiter) -> Lane:
    async def introduce() -> None:
        """Say nothing."""

    store = Store("redis://127.0.0.1:1")
    queue: Any = SimpleNamespace(
        store=store,
        scripts=store.prompt,
        keys=QueueKeys("bull", "mail"),
        spec=SimpleNamespace(name="mail"),
        introduce=introduce,
    )
    lane = Lane(queue, "me", 1.0)
    lane._arbiter = arbiter  # type: ignore[assignment] # what it is asked is the point
    return lane


def _job(name: str) -> NewJob:
    return NewJob(KIND, name, "{}")


async def test_what_is_added_is_not_told_the_failure_of_what_was_sent_after_it() -> None:
    arbiter = Arbiter(gone_for=2_000)
    lane = a_lane(arbiter)
    told = await asyncio.gather(
        lane.add(_job("a"), 1_000, Pickup.ALIVE),
        lane.add(_job("b"), 2_000, Pickup.ALIVE),
        lane.add(_job("c"), 1_000, Pickup.ALIVE),
        return_exceptions=True,
    )
    assert told[0] == Admitted(Added(Adding.ADDED, "a"), "epoch")
    assert isinstance(told[1], StoreUnavailable)
    assert told[2] == Admitted(Added(Adding.ADDED, "c"), "epoch")
    assert arbiter.calls == [["a", "c"], ["b"]]
    await lane.aclose()


async def test_nobody_fails_for_a_job_that_cannot_be_sent() -> None:
    lane = a_lane(Arbiter(impossible="b"))
    told = await asyncio.gather(
        *(lane.add(_job(name), 1_000, Pickup.ALIVE) for name in "abc"), return_exceptions=True
    )
    assert told[::2] == [Admitted(Added(Adding.ADDED, name), "epoch") for name in "ac"]
    assert isinstance(told[1], InvalidOptionError)
    with pytest.raises(InvalidOptionError, match="b: cannot be added: no text"):
        await lane.add_again(_job("b"), 1_000, Pickup.ALIVE, "epoch")
    await lane.aclose()


async def test_ids_that_were_not_forgotten_are_sent_along_once_more() -> None:
    arbiter = Arbiter(gone_for=2_000)
    lane = a_lane(arbiter)
    lane.decided("too few")
    await lane.add(_job("first"), 1_000, Pickup.ALIVE)
    assert not arbiter.seen
    seen = ["too few", *map(str, range(19))]
    for name in seen[1:]:
        lane.decided(name)
    with pytest.raises(StoreUnavailable):
        await lane.add(_job("a"), 2_000, Pickup.ALIVE)
    await lane.add(_job("b"), 1_000, Pickup.ALIVE)
    assert arbiter.seen == seen + seen
    await lane.aclose()

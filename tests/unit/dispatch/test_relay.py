from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bullq import Observer, StoreUnavailable
from bullq.dispatch import relay
from bullq.dispatch.outbox import Outbox
from bullq.store.adding import NewJob
from bullq.store.arbiter import Added, Adding, ConfirmedAdds, Settling, Unsettled
from tests.unit.dispatch.test_outbox import a_job


class Arbiter:
    """Has routed the second job before, and goes away once the first one is added."""

    def __init__(self, *_: object) -> None:
        """Serve any queue."""

    async def add_confirmed(self, jobs: Sequence[NewJob], *_: object, **__: Any) -> ConfirmedAdds:
        outcomes = [Adding.ROUTED if job.id == "job-2" else Adding.ADDED for job in jobs]
        return ConfirmedAdds("e", [Added(one, "") for one in outcomes])

    async def settle(self, jobs: Sequence[Unsettled], **_: Any) -> Settling:
        raise StoreUnavailable(f"refused before the question of {jobs[0].id} was sent")


class Wiped:
    """Has lost its data since anything was added for the first time."""

    def __init__(self, *_: object) -> None:
        """Serve any queue."""

    async def add_confirmed(
        self, jobs: Sequence[NewJob], _: object, *, epoch: str | None
    ) -> ConfirmedAdds:
        if epoch is not None:
            return ConfirmedAdds("new", None)
        return ConfirmedAdds("new", [Added(Adding.ADDED, job.id) for job in jobs])


class Scripts:
    """Keeps no events for any job."""

    def __init__(self, *_: object) -> None:
        """Serve any queue."""

    async def signals(self, _: Sequence[str]) -> dict[str, object]:
        return {}


async def _flushed(outbox: Outbox) -> tuple[int, int]:
    queue: Any = SimpleNamespace(
        store=SimpleNamespace(client=list, pipelined=list, errors=nullcontext),
        scripts=list,
        keys=None,
    )
    return await relay.Relay(outbox, lambda _: queue, None, Observer()).flush()


async def test_no_job_goes_before_one_of_its_order_key_that_is_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "Arbiter", Wiped)
    monkeypatch.setattr(relay, "ElsewhereScripts", Scripts)
    outbox = Outbox(tmp_path / "outbox.db")
    await outbox.keep(replace(a_job(1), order_key="a", maybe=True))
    await outbox.keep(replace(a_job(2), order_key="a"))
    await outbox.keep(replace(a_job(3), order_key="b"))
    await outbox.keep(a_job(4))
    assert await _flushed(outbox) == (2, 0)
    first, second = await outbox.jobs()
    assert (first.id, "lost data" in first.problem) == ("job-1", True)
    assert (second.id, second.problem, second.maybe) == ("job-2", "", False)
    await outbox.aclose()


async def test_what_was_added_is_not_sent_elsewhere_where_redis_goes_right_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "Arbiter", Arbiter)
    monkeypatch.setattr(relay, "ElsewhereScripts", Scripts)
    outbox = Outbox(tmp_path / "outbox.db")
    for number in (1, 2):
        await outbox.keep(a_job(number))
    assert await _flushed(outbox) == (1, 1)
    [job] = await outbox.jobs()
    assert (job.id, job.maybe) == ("job-2", True)
    await outbox.aclose()


class Forgetful:
    """Answers no add until it has lost its data, and knows then of a new epoch."""

    epochs: list[str | None]

    def __init__(self, *_: object) -> None:
        """Serve any queue."""

    async def add_confirmed(
        self, jobs: Sequence[NewJob], _: object, *, epoch: str | None
    ) -> ConfirmedAdds:
        if not jobs:
            return ConfirmedAdds("first" if not self.epochs else "second", [])
        self.epochs.append(epoch)
        if len(self.epochs) == 1:
            raise StoreUnavailable("cut", in_doubt=True)
        return ConfirmedAdds("second", None if epoch == "first" else [Added(Adding.ADDED, "")])


async def test_a_job_is_held_back_that_was_added_by_the_relay_itself_before_data_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "Arbiter", Forgetful)
    monkeypatch.setattr(relay, "ElsewhereScripts", Scripts)
    Forgetful.epochs = []
    outbox = Outbox(tmp_path / "outbox.db")
    await outbox.keep(replace(a_job(1), epoch=""))
    assert await _flushed(outbox) == (0, 1)
    await _flushed(outbox)
    assert Forgetful.epochs == [None, "first"]
    [job] = await outbox.jobs()
    assert (job.maybe, "lost data" in job.problem) == (True, True)
    await outbox.aclose()

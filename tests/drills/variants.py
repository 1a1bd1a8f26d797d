"""Products broken on purpose: a drill that does not notice one of them proves nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from bullq.dispatch import elsewhere, judgement, relay
from bullq.dispatch.handoff import Handoff
from bullq.dispatch.judgement import Course, Judgement
from bullq.dispatch.lane import Lane
from bullq.dispatch.outbox import Outbox
from bullq.jobs.reasons import Reason
from bullq.worker.sweeper import Sweeper

if TYPE_CHECKING:
    from bullq.dispatch.errand import Arrival, Errand

Variant = Callable[[], contextlib.AbstractContextManager[Any]]

_add, _lane_settle = Handoff._add, Lane.settle
_message_for = elsewhere.message_for


async def _routed_unasked(self: Handoff, errand: Errand) -> None:
    errand.routed = True


async def _taken_for_no(self: Handoff, errand: Errand) -> bool:
    answered = await _add(self, errand)
    errand.maybe = False
    return answered


def _settle_in_no_epoch(self: Lane, job: Any, epoch: str) -> Any:
    return _lane_settle(self, job, "")


async def _add_in_this_epoch(self: Lane, job: Any, timeout_ms: int, pickup: Any, since: str) -> Any:
    return await self.add(job, timeout_ms, pickup)


async def _keep_nothing(self: Outbox, job: Any) -> None:
    pass


async def _begun_unseen(self: Handoff, errand: Errand, begun: Any) -> Arrival:
    return errand.arrived("bullmq", "started", None)


async def _decided_with_its_caller(self: Handoff, errand: Errand) -> Arrival:
    arrival = await self._decided(errand)
    self._observer.job_dispatched(errand.event(arrival, None))
    return arrival


async def _delivers_nothing(self: Any, queue: str, jobs: list[Any]) -> list[Any]:
    return jobs


async def _sweeps_nothing(self: Sweeper) -> bool:
    return False


def _unguarded(queue: str, job: Any, *, delay_ms: int, guard: Any = None) -> Any:
    return _message_for(queue, job, delay_ms=delay_ms)


def _impatient(sight: Any) -> Judgement:
    return Judgement(Course.SETTLE, reason=Reason.NOT_STARTED)


@contextlib.contextmanager
def _without_epoch() -> Iterator[None]:
    with (
        patch.object(Lane, "settle", _settle_in_no_epoch),
        patch.object(Lane, "add_again", _add_in_this_epoch),
    ):
        yield


VARIANTS: dict[str, Variant] = {
    "skipped_settle": lambda: patch.object(Handoff, "_settled", _routed_unasked),
    "unknown_taken_for_no": lambda: patch.object(Handoff, "_add", _taken_for_no),
    "unguarded_event": lambda: patch.object(elsewhere, "message_for", _unguarded),
    "forgotten_epoch": _without_epoch,
    "forgotten_outbox": lambda: patch.object(Outbox, "keep", _keep_nothing),
    "unshielded_decision": lambda: patch.object(Handoff, "hand_over", _decided_with_its_caller),
    "believed_add": lambda: patch.object(Handoff, "_begun", _begun_unseen),
    "idle_sweeper": lambda: patch.object(Sweeper, "sweep", _sweeps_nothing),
    "careless_relay": lambda: patch.object(relay.Relay, "_deliver", _delivers_nothing),
    "impatience": lambda: patch.object(judgement, "_why_it_waits", _impatient),
}
"""What each of them does wrong, by name."""


@contextlib.contextmanager
def broken(variant: str | None) -> Iterator[None]:
    """Break this process's product for the length of the block; None leaves it as it is."""
    with VARIANTS[variant]() if variant else contextlib.nullcontext():
        yield

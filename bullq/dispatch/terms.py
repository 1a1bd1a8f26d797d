"""Work out under which terms a job is dispatched: what its job, queue and settings say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bullq.clock import Duration, to_ms
from bullq.jobs.reasons import OnDataLoss
from bullq.jobs.remote import RemoteJob
from bullq.store.arbiter import Pickup

if TYPE_CHECKING:
    from bullq.jobs.definition import JobDefinition
    from bullq.queues.spec import QueueSpec
    from bullq.settings import Settings

UseBullmq = bool | Callable[["JobDefinition[Any, Any]"], bool]
"""The flag, or what is asked for each dispatch."""

_SHARE = 0.2  # of the deadline, that one question to Redis may take, and what is left for an event


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How one job is dispatched. Lengths of time are in seconds.

    *confirm* asks for evidence that a worker has begun the job; *fallback* lets it go elsewhere;
    *keep* lets it wait in the outbox.
    *spare* is what of the deadline is kept for the event, once the wait for a worker is over.
    """

    confirm: bool
    fallback: bool
    keep: bool
    pickup: Pickup
    on_data_loss: OnDataLoss
    deadline: float
    redis: float
    wait: float
    spare: float

    @property
    def is_plain(self) -> bool:
        """Whether dispatching is no more than adding."""
        return not (self.confirm or self.fallback or self.keep)


class TermsBook:
    """Gives terms; *can_fall_back* says whether the application has another engine."""

    def __init__(self, settings: Settings, *, can_fall_back: bool) -> None:
        self._settings = settings
        self._can_fall_back = can_fall_back

    def of(self, job: JobDefinition[Any, Any], spec: QueueSpec, deadline: Duration | None) -> Terms:
        """Give the terms of a job; *deadline* is what its dispatch says. Raises ValueError."""
        settings, policy = self._settings, job.policy
        seconds = (settings.dispatch_deadline if deadline is None else to_ms(deadline)) / 1000
        wished = spec.fallback if policy.fallback is None else policy.fallback
        fallback = wished and self._can_fall_back and not isinstance(job, RemoteJob)
        return Terms(
            confirm=fallback if spec.confirm is None else spec.confirm,
            fallback=fallback,
            keep=settings.outbox is not None,
            pickup=Pickup(policy.pickup or spec.pickup),
            on_data_loss=policy.on_data_loss or spec.on_data_loss,
            deadline=seconds,
            redis=min(settings.redis_timeout / 1000, seconds * _SHARE),
            wait=settings.pickup_timeout / 1000,
            spare=seconds * _SHARE,
        )


def is_switched_off(use_bullmq: UseBullmq, job: JobDefinition[Any, Any], spec: QueueSpec) -> bool:
    """Tell whether BullMQ is not to be used for a job: its queue's word goes first."""
    if spec.use_bullmq is not None:
        return not spec.use_bullmq
    return not (use_bullmq(job) if callable(use_bullmq) else use_bullmq)

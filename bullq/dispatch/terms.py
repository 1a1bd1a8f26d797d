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
    """Gives terms; *can_fall_back* says whether the application has another engine.

    *use_bullmq* is the application's flag, to which a queue's own word is preferred.
    """

    def __init__(
        self, settings: Settings, *, can_fall_back: bool, use_bullmq: UseBullmq = True
    ) -> None:
        self._settings = settings
        self._can_fall_back = can_fall_back
        self._use_bullmq = use_bullmq

    def of(
        self,
        job: JobDefinition[Any, Any],
        spec: QueueSpec,
        deadline: Duration | None,
        *,
        ordered: bool = False,
    ) -> Terms:
        """Give the terms of a job; *deadline* is what its dispatch says. Raises ValueError.

        All jobs with an order key (*ordered*) have one engine: BullMQ, and Inngest alone where the
        flag is off for good.
        """
        settings, policy = self._settings, job.policy
        seconds = (settings.dispatch_deadline if deadline is None else to_ms(deadline)) / 1000
        wished = spec.fallback if policy.fallback is None else policy.fallback
        fallback = wished and self._can_fall_back and not isinstance(job, RemoteJob)
        stays_there = ordered and fallback and self._is_off_for_good(spec)
        fallback = fallback and (stays_there or not ordered)
        return Terms(
            confirm=fallback if spec.confirm is None else spec.confirm,
            fallback=fallback,
            # Who delivers from the outbox asks BullMQ first.
            keep=settings.outbox is not None and not stays_there,
            pickup=Pickup(policy.pickup or spec.pickup),
            on_data_loss=policy.on_data_loss or spec.on_data_loss,
            deadline=seconds,
            redis=min(settings.redis_timeout / 1000, seconds * _SHARE),
            wait=settings.pickup_timeout / 1000,
            spare=seconds * _SHARE,
        )

    def _is_off_for_good(self, spec: QueueSpec) -> bool:
        flag = self._use_bullmq if spec.use_bullmq is None else spec.use_bullmq
        return flag is False


def is_switched_off(use_bullmq: UseBullmq, job: JobDefinition[Any, Any], spec: QueueSpec) -> bool:
    """Tell whether BullMQ is not to be used for a job: its queue's word goes first."""
    if spec.use_bullmq is not None:
        return not spec.use_bullmq
    return not (use_bullmq(job) if callable(use_bullmq) else use_bullmq)

"""Have a job run that BullMQ has not got: by Inngest, or once one of the two can take it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from bullq.engines.inngest.messages import Outcome
from bullq.engines.inngest.parcels import message_for
from bullq.errors import (
    DispatchInDoubt,
    DispatchUnavailable,
    SettingsError,
    StoreUnavailable,
)
from bullq.jobs.reasons import Reason

if TYPE_CHECKING:
    from bullq.dispatch.errand import Arrival, Errand
    from bullq.dispatch.fallback import InngestFallback
    from bullq.dispatch.means import Means

_ATTEMPTS = 2  # to send an event whose first answer was lost


class Elsewhere:
    """The ways out of BullMQ; *when_kept* is called when a job was written down."""

    def __init__(self, means: Means, when_kept: Callable[[], None]) -> None:
        self._means = means
        self._when_kept = when_kept

    def warm(self, errand: Errand) -> None:
        """Have Inngest asked whether it is ready, before that is needed."""
        if self._means.fallback is not None and errand.terms.fallback:
            self._means.fallback.warm()

    async def takes(self, errand: Errand) -> bool:
        """Tell whether Inngest would run the job now."""
        fallback = self._means.fallback
        if (
            fallback is None
            or not errand.terms.fallback
            or not fallback.takes(len(errand.new.data))
        ):
            return False
        with errand.timed("probe"):
            return await fallback.is_ready(errand.function, errand.left / 2)

    async def take(self, errand: Errand) -> Arrival | str:
        """Give the job away; or say why nobody has taken it."""
        fallback = self._means.fallback
        refused = "there is no other engine for it"
        if fallback is not None and await self.takes(errand):
            with errand.timed("event"):
                refused = await _sent(fallback, errand)
            if not refused:
                if errand.routed:
                    errand.lane.sent(errand.id)
                return errand.arrived("inngest", "sent", errand.reason)
        elif errand.terms.fallback and fallback is not None:
            refused = fallback.why_not or "Inngest takes no event of its size"
        return await self.keep(errand, refused)

    async def keep(self, errand: Errand, refused: str) -> Arrival | str:
        """Write the job down until an engine can take it; or say why it is not: *refused*, too."""
        outbox = self._means.outbox
        try:
            if outbox is not None and errand.terms.keep:
                with errand.timed("outbox"):
                    await outbox.keep(errand.kept())
                self._when_kept()
                return errand.arrived("outbox", "kept", errand.reason)
        except (sqlite3.Error, OSError) as error:
            errand.cause = error
            refused += f"; its outbox fails, too: {error}"
        if errand.routed:
            # It is on record in Redis: a sweeper sends the event as soon as that goes.
            return errand.arrived("outbox", "kept", errand.reason)
        return refused


async def _sent(fallback: InngestFallback, errand: Errand) -> str:
    """Send the job's event; give why it was not accepted, or nothing."""
    guard = {"epoch": errand.epoch, "on_data_loss": errand.terms.on_data_loss}
    message = message_for(
        errand.job.queue,
        errand.unsettled,
        delay_ms=errand.delay_ms,
        guard=guard if errand.maybe and not errand.routed else None,
    )
    for _ in range(_ATTEMPTS):
        sending = await fallback.send(message, errand.left * 0.9)
        if sending.outcome is Outcome.ACCEPTED:
            return ""
        # A refusal of the second one says nothing of the first.
        errand.sent_maybe |= sending.outcome is Outcome.UNKNOWN
        if sending.outcome is Outcome.REFUSED or not errand.left:
            break
    return sending.reason


def nowhere(errand: Errand, refused: str) -> Exception:
    """Say that no engine has the job, or that nobody knows."""
    if errand.reason is Reason.SWITCHED_OFF and not errand.terms.fallback:
        return SettingsError(
            "USE_BULLMQ is off and no other engine is set up, so that the job "
            f"{errand.place} has nowhere to go; set USE_BULLMQ=true"
        )
    if errand.maybe or errand.sent_maybe:
        return in_doubt(errand, f"{errand.cause or ''} {refused}".strip())
    if not errand.terms.fallback and isinstance(errand.cause, StoreUnavailable):
        return StoreUnavailable(str(errand.cause))
    why = "" if errand.reason is None else f"{errand.reason.sentence}; "
    return DispatchUnavailable(
        f"The job {errand.id} ({errand.place}) was not queued and will not run: {why}"
        f"and Inngest: {refused}. Dispatch it again once one of them serves"
    )


def in_doubt(errand: Errand, why: str) -> DispatchInDoubt:
    """Say that nobody can know now whether the job will run."""
    return DispatchInDoubt(
        f"The job {errand.id} ({errand.place}) may be queued, and nobody can say now: {why}. "
        f"Look with 'bullq jobs show {errand.id}'. Dispatching it again under the same id is "
        "harmless.",
        errand.id,
    )

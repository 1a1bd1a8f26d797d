"""Send events to jobs that Inngest runs: kept in our store, and told to Inngest to wake the job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bullq.engines.inngest.messages import Outcome
from bullq.engines.inngest.shared import SIGNAL
from bullq.errors import StoreUnavailable
from bullq.store.elsewhere import ElsewhereScripts

if TYPE_CHECKING:
    from bullq.engines.inngest.events import EventSender
    from bullq.queues.queue import JobQueue

_DEADLINE = 2.0  # seconds for each of the two


class SignalSender:
    """Takes the events of jobs that are not BullMQ's."""

    def __init__(self, sender: EventSender) -> None:
        self._sender = sender

    async def takes(self, queue: JobQueue, job_id: str, event: str, payload: str) -> bool:
        """Send an event (its payload as JSON text) unless BullMQ has the job; tell whether it did.

        A job without a record may be at Inngest, or come to it: the event is kept for it.

        Raises StoreUnavailable where neither Redis nor Inngest takes the event.
        """
        scripts = ElsewhereScripts(queue.store.client(), queue.store.pipelined(), queue.keys)
        try:
            async with asyncio.timeout(_DEADLINE):
                with queue.store.errors():
                    if not await scripts.keep_signal(job_id, event, payload):
                        return False
        except (StoreUnavailable, TimeoutError) as error:
            await self._wake(job_id, event, payload, unkept=error)
        else:
            await self._wake(job_id, event, payload)
        return True

    async def _wake(
        self, job_id: str, event: str, payload: str, unkept: Exception | None = None
    ) -> None:
        """Tell Inngest; where the event is kept, the job finds it even if that does not succeed."""
        data = {"job": job_id, "event": event, "payload": payload, "kept": unkept is None}
        sent = await self._sender.send_plain([{"name": SIGNAL, "data": data}], deadline=_DEADLINE)
        if unkept is not None and sent.outcome is not Outcome.ACCEPTED:
            raise StoreUnavailable(
                f"The event {event!r} for the job {job_id} was not sent: {unkept}; {sent.reason}",
                in_doubt=sent.outcome is Outcome.UNKNOWN,
            ) from unkept

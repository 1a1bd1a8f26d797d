"""Tell which engine has a job that was handed over, how far it is there, and take it back."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from bullq.engines.inngest.messages import Outcome
from bullq.errors import ActionRefused, JobNotFound, StoreUnavailable
from bullq.queues.inspect import job_state
from bullq.store.elsewhere import ElsewhereScripts

if TYPE_CHECKING:
    from bullq.dispatch.fallback import InngestFallback
    from bullq.dispatch.outbox import Outbox
    from bullq.queues.queue import JobQueue

CANCELLED = "it was cancelled"
"""The reason for which a job has failed that was taken back."""

_DEADLINE = 2.0  # seconds for each question
_ENDED = ("completed", "failed")


class Place(NamedTuple):
    """Which engine has a job ('bullmq', 'inngest', 'outbox', or nothing where nobody knows).

    *state* is BullMQ's own, 'sent' for a job at Inngest of which it is not known that it has begun,
    'kept' for one in the outbox, 'unknown' where nothing is on record.
    """

    engine: str
    state: str


class Whereabouts:
    """Knows the places of an application's jobs; *outbox* and *fallback* are None without them."""

    def __init__(self, outbox: Outbox | None, fallback: InngestFallback | None) -> None:
        self._outbox = outbox
        self._fallback = fallback

    async def find(self, queue: JobQueue, job_id: str, engine: str) -> Place:
        """Tell where a job is; *engine* is who had it when it was dispatched.

        Raises StoreUnavailable where Redis is away and the job is not in the outbox.
        """
        try:
            place = await self._on_record(queue, job_id)
        except StoreUnavailable:
            if await self._is_kept(queue, job_id):
                return Place("outbox", "kept")
            raise
        if place is not None:
            return place
        if await self._is_kept(queue, job_id):
            return Place("outbox", "kept")
        return Place("inngest" if engine == "inngest" else "", "unknown")

    async def take_back(self, queue: JobQueue, job_id: str, engine: str) -> None:
        """Have a job not run, or go on no further: on BullMQ and in the outbox only unbegun ones.

        At Inngest a run that has begun ends before its next step; the one under way it finishes.
        Raises ActionRefused, JobNotFound, StoreUnavailable.
        """
        if await self._out_of_the_outbox(queue, job_id):
            return
        try:
            place = await self.find(queue, job_id, engine)
        except StoreUnavailable:
            if engine != "inngest":
                raise
            place = Place(engine, "unknown")
        match place.engine:
            case "bullmq":
                await queue.jobs.remove(job_id)
                await self._forget(queue, job_id)
            case "inngest":
                await self._cancel(queue, job_id, place)
            case "outbox":
                raise ActionRefused(
                    f"The job {job_id} ({queue.spec.name}) is in the outbox, and an engine may "
                    "have it, too, as a request for it was not answered: nobody can take it back "
                    "for sure. Settle it first with 'bullq reconcile'"
                )
            case _:
                raise JobNotFound(f"The queue {queue.spec.name!r} has no job {job_id}")

    async def _cancel(self, queue: JobQueue, job_id: str, place: Place) -> None:
        """Have Inngest end a run, and put that on record where there is one."""
        if place.state in _ENDED:
            raise ActionRefused(f"The job {job_id} ({queue.spec.name}) has ended: {place.state}")
        if self._fallback is None:
            raise ActionRefused(
                f"The job {job_id} ({queue.spec.name}) is at Inngest, and this application knows "
                "no Inngest server: set INNGEST_EVENT_KEY, or INNGEST_DEV"
            )
        if place.state != "unknown":
            with queue.store.errors():
                await self._scripts(queue).keep_event_back(job_id)
        sent = await self._fallback.cancel(job_id, _DEADLINE)
        if sent.outcome is not Outcome.ACCEPTED:
            raise StoreUnavailable(
                f"The job {job_id} ({queue.spec.name}) is at Inngest and was not cancelled: "
                f"{sent.reason}",
                in_doubt=sent.outcome is Outcome.UNKNOWN,
            )
        if place.state != "unknown":
            with queue.store.errors():
                is_cancelled = await self._scripts(queue).cancel_elsewhere(job_id, CANCELLED)
            if not is_cancelled:
                raise ActionRefused(f"The job {job_id} ({queue.spec.name}) has ended meanwhile")
        await self._forget(queue, job_id)

    async def _on_record(self, queue: JobQueue, job_id: str) -> Place | None:
        try:
            async with asyncio.timeout(_DEADLINE):
                with queue.store.errors():
                    found = await self._scripts(queue).standing(job_id)
                if found == "absent":
                    return None
                if found in ("sent", "active"):
                    return Place("inngest", found)
                state = (await job_state(queue, job_id)).value
        except TimeoutError:
            raise StoreUnavailable(f"Redis did not answer within {_DEADLINE:g} s") from None
        return Place("inngest" if found == "ended" else "bullmq", state)

    async def _out_of_the_outbox(self, queue: JobQueue, job_id: str) -> bool:
        try:
            outbox = self._outbox
            return outbox is not None and await outbox.take_back(queue.spec.name, job_id)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"The job {job_id} ({queue.spec.name}) was not cancelled: the outbox, which may "
                f"have it, cannot be read: {error}"
            ) from error

    async def _is_kept(self, queue: JobQueue, job_id: str) -> bool:
        try:
            return self._outbox is not None and await self._outbox.has(queue.spec.name, job_id)
        except (sqlite3.Error, OSError):
            return False

    async def _forget(self, queue: JobQueue, job_id: str) -> None:
        if self._outbox is not None:
            await self._outbox.remove([(queue.spec.name, job_id)])

    @staticmethod
    def _scripts(queue: JobQueue) -> ElsewhereScripts:
        return ElsewhereScripts(queue.store.client(), queue.store.pipelined(), queue.keys)

"""Deliver what the outbox keeps, in order per queue: to BullMQ if it serves, else to Inngest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

from bullq.dispatch.outbox import LeaseLost, now_ms
from bullq.engines.inngest.messages import Outcome
from bullq.engines.inngest.parcels import message_for
from bullq.errors import ActionRefused, JobNotFound, StoreUnavailable
from bullq.store.adding import JobKind, NewJob
from bullq.store.arbiter import Adding, Arbiter, Confirmation, Pickup, Settled, Unsettled, Verdict
from bullq.store.elsewhere import ElsewhereScripts

if TYPE_CHECKING:
    from bullq.dispatch.fallback import InngestFallback
    from bullq.dispatch.outbox import Kept, Outbox
    from bullq.queues.queue import JobQueue
    from bullq.telemetry.hooks import Observer

_log = logging.getLogger("bullq")

_MOST_AT_ONCE = 100
_LEASE = 6.0  # seconds; one batch takes less
_DEADLINE = 1.5  # seconds for one question to Redis, or one event
_FORGETS_MS = 20 * 3_600_000  # Inngest knows the id of an event for 24 hours
_ON_BULLMQ = (Verdict.PICKED, Verdict.GONE, Verdict.PARENT, Verdict.SCHEDULE)
_FIRST_PAUSE, _LAST_PAUSE = 0.2, 2.0  # seconds between attempts while nobody takes anything


class Relay:
    """Delivers from one outbox; of all relays of a file one does, by a lease.

    *live_queue* gives a queue on the running event loop.
    """

    def __init__(
        self,
        outbox: Outbox,
        live_queue: Callable[[str], JobQueue],
        fallback: InngestFallback | None,
        observer: Observer,
    ) -> None:
        self._outbox = outbox
        self._live_queue = live_queue
        self._fallback = fallback
        self._observer = observer
        self._told = 0  # jobs in the outbox
        self._holder = secrets.token_hex(8)

    async def run(self, *, until_empty: bool = False) -> None:
        """Deliver for as long as it runs, or until there is nothing left that can be delivered."""
        pause = _FIRST_PAUSE
        while True:
            delivered, left = 0, 1
            try:
                delivered, left = await self.flush()
                await self._tell()
            except (sqlite3.Error, OSError) as error:
                _log.warning("the outbox %s cannot be read: %s", self._outbox.path, error)
            if until_empty and not left:
                return
            pause = _FIRST_PAUSE if delivered else min(pause * 2, _LAST_PAUSE)
            await asyncio.sleep(pause)

    async def _tell(self) -> None:
        """Say how full the outbox is, for as long as it is not empty, and once it is."""
        count, oldest_ms = await self._outbox.depth()
        if count or self._told:
            self._observer.outbox_changed(count, oldest_ms)
        self._told = count

    async def flush(self) -> tuple[int, int]:
        """Deliver what can be now; give how many jobs were, and how many could be but were not."""
        delivered = left = 0
        try:
            if not await self._outbox.take_lease(self._holder, _LEASE):
                return 0, 1
            for queue in await self._outbox.queues():
                done, rest = await self._flush_queue(queue)
                delivered, left = delivered + done, left + rest
        except LeaseLost:
            left += 1
        finally:
            await asyncio.shield(self._outbox.leave_lease(self._holder))
        return delivered, left

    async def _flush_queue(self, queue: str) -> tuple[int, int]:
        delivered = 0
        while jobs := await self._outbox.deliverable(queue, limit=_MOST_AT_ONCE):
            done = await self._deliver(queue, jobs)
            await self._outbox.remove(job.key for job in done)
            delivered += len(done)
            if not done:
                left = await self._outbox.deliverable(queue, limit=_MOST_AT_ONCE)
                if left and left[0].key == jobs[0].key:
                    return delivered, len(left)
            if not await self._outbox.take_lease(self._holder, _LEASE):
                return delivered, 1
        return delivered, 0

    async def _deliver(self, queue: str, jobs: list[Kept]) -> list[Kept]:
        """Deliver the first jobs that are in the same case; give those that an engine has."""
        sent, group = next(groupby(jobs, key=lambda job: job.sent))
        batch = list(group)
        deliver = self._settled if sent else self._added
        try:
            async with asyncio.timeout(_DEADLINE):
                return await deliver(self._live_queue(queue), batch)
        except StoreUnavailable as error:
            in_doubt = error.in_doubt
        except TimeoutError:
            in_doubt = True
        if not sent:  # in which epoch they were added has been noted meanwhile
            noted = await self._outbox.deliverable(queue, limit=_MOST_AT_ONCE)
            by_key = {job.key: job for job in noted}
            batch = [by_key.get(job.key, job) for job in batch]
        return await self._sent_without_redis(batch, in_doubt=in_doubt and not sent)

    async def _added(self, queue: JobQueue, jobs: list[Kept]) -> list[Kept]:
        """Put jobs of which no event was sent on their queue, in order; give those it has."""
        epoch = "" if all(job.maybe for job in jobs) else await self._epoch(queue, jobs[0])
        await self._outbox.begin(jobs, self._holder, maybe=True, sent=False, epoch=epoch)
        done: list[Kept] = []
        answered = sent = 0
        failure: StoreUnavailable | None = None
        until = asyncio.get_running_loop().time() + _DEADLINE / 3
        arbiter = Arbiter(queue.scripts(), queue.keys)
        for (terms, since), group in groupby(jobs, key=_adding):
            batch = list(group)
            try:
                added = await self._added_alike(queue, arbiter, batch, terms, since)
            except StoreUnavailable as error:
                failure = error
                sent += len(batch) if error.in_doubt else 0
                break
            done += added
            answered = sent = answered + len(batch)
            gone = {job.key for job in added}
            stays = any(job.order_key for job in batch if job.key not in gone)
            if stays or asyncio.get_running_loop().time() > until:
                break  # the next call goes on, without those that have to stay behind others
        unsent = [job for job in jobs[sent:] if not job.maybe]
        if unsent:  # these are as they were
            await self._outbox.clear_maybe(unsent, self._holder)
        if failure is not None and not answered:
            raise failure
        with contextlib.suppress(StoreUnavailable):  # these are there all the same
            await self._send_on(queue, [job.id for job in done])
        return done

    @staticmethod
    async def _epoch(queue: JobQueue, job: Kept) -> str:
        """Learn a queue's epoch before jobs are sent: of an add without an answer it has the word.

        Else nobody could tell whether it was lost with other data, and may have run.
        """
        arbiter = Arbiter(queue.scripts(), queue.keys)
        with queue.store.errors():
            return (await arbiter.add_confirmed([], _adding(job)[0], epoch=None)).epoch

    async def _added_alike(
        self,
        queue: JobQueue,
        arbiter: Arbiter,
        batch: list[Kept],
        terms: Confirmation,
        since: str | None,
    ) -> list[Kept]:
        """Add jobs of the same terms in one call."""
        with queue.store.errors():
            answer = await arbiter.add_confirmed([_new(job) for job in batch], terms, epoch=since)
        if answer.added is None:
            return await self._lost(queue, batch)
        done: list[Kept] = []
        routed: list[Kept] = []
        for job, added in zip(batch, answer.added, strict=True):
            if added.outcome is Adding.REFUSED:
                await self._outbox.hold_back(job, f"BullMQ refuses it: {added.detail}")
            elif added.outcome is Adding.ROUTED:
                routed.append(job)
            else:
                done.append(job)
        # Of those that were added just now nobody is to think that they were not.
        with contextlib.suppress(StoreUnavailable):
            done += await self._settled(queue, routed)
        return done

    @staticmethod
    async def _send_on(queue: JobQueue, job_ids: list[str]) -> None:
        """Give jobs on BullMQ the events that came while no engine had them."""
        if not job_ids:
            return
        scripts = ElsewhereScripts(queue.store.client(), queue.store.pipelined(), queue.keys)
        with queue.store.errors():
            kept = await scripts.signals(job_ids)
        for job_id, events in kept.items():
            with contextlib.suppress(JobNotFound, ActionRefused):  # it has ended meanwhile
                for event, payload in events:
                    await queue.steps.send_event(job_id, event, payload)
            with queue.store.errors():
                await scripts.drop_signals(job_id)

    async def _settled(self, queue: JobQueue, jobs: list[Kept]) -> list[Kept]:
        """Have the arbiter say who has jobs of which an event may have been accepted."""
        if not jobs:
            return []
        epoch, group = next(groupby(jobs, key=lambda job: job.epoch))
        batch = list(group)
        arbiter = Arbiter(queue.scripts(), queue.keys)
        with queue.store.errors():
            answer = await arbiter.settle([_unsettled(job) for job in batch], epoch=epoch)
        done: list[Kept] = []
        for job, settled in zip(batch, answer.settled, strict=True):
            if not await self._has_an_engine(queue, arbiter, job, settled):
                break
            done.append(job)
        return done

    async def _has_an_engine(
        self, queue: JobQueue, arbiter: Arbiter, job: Kept, settled: Settled
    ) -> bool:
        """Act on the arbiter's word; tell whether an engine has the job, or nobody is to."""
        verdict = settled.verdict
        if verdict is Verdict.ROUTED:
            return settled.parcel is None or await self._send_routed(queue, arbiter, job)
        if verdict in _ON_BULLMQ:
            return True
        if verdict is not Verdict.ERROR:
            return bool(await self._lost(queue, [job]))
        await self._outbox.hold_back(job, settled.error)
        return False

    async def _lost(self, queue: JobQueue, jobs: list[Kept]) -> list[Kept]:
        """Do what jobs' terms say where Redis lost data: they may have run."""
        done: list[Kept] = []
        for job in jobs:
            if job.on_data_loss == "drop":
                done.append(job)
            elif job.on_data_loss == "rerun":
                done += await self._added(queue, [replace(job, maybe=False)])
            else:
                why = "Redis lost data: nobody can know whether it ran"
                await self._outbox.hold_back(job, why)
        return done

    async def _send_routed(self, queue: JobQueue, arbiter: Arbiter, job: Kept) -> bool:
        """Send the event of a job that BullMQ has not got and cannot get any more."""
        if not await self._send([job], in_doubt=None):
            return False
        with queue.store.errors():
            await arbiter.sent([job.id])
        return True

    async def _sent_without_redis(self, jobs: list[Kept], *, in_doubt: bool) -> list[Kept]:
        """Send events while Redis is away: guarded ones where BullMQ may have the job."""
        batch: list[Kept] = []
        for job in jobs:
            is_forgotten = job.sent and now_ms() - job.made_ms > _FORGETS_MS
            if is_forgotten or not job.may_leave or not await self._is_ready(job):
                break
            batch.append(job)
        if not batch:
            return []
        await self._outbox.begin(batch, self._holder, maybe=False, sent=True)
        return await self._send(batch, in_doubt=in_doubt)

    async def _is_ready(self, job: Kept) -> bool:
        fallback = self._fallback
        return fallback is not None and await fallback.is_ready(
            f"{job.queue}.{job.name}", _DEADLINE
        )

    async def _send(self, jobs: Sequence[Kept], *, in_doubt: bool | None) -> list[Kept]:
        """Send events together; give the first ones, as far as they were accepted.

        *in_doubt* says that BullMQ may have the jobs, None that it has not.
        """
        fallback = self._fallback
        if fallback is None:
            return []
        messages = [
            message_for(
                job.queue,
                _unsettled(job),
                delay_ms=max(0, job.due_ms - now_ms()),
                guard={"epoch": job.epoch, "on_data_loss": job.on_data_loss}
                if in_doubt or (in_doubt is not None and job.maybe)
                else None,
            )
            for job in jobs
        ]
        told = await asyncio.gather(*(fallback.send(one, _DEADLINE) for one in messages))
        accepted = takewhile(
            lambda pair: pair[1].outcome is Outcome.ACCEPTED, zip(jobs, told, strict=True)
        )
        return [job for job, _ in accepted]


def _adding(job: Kept) -> tuple[Confirmation, str | None]:
    """Give the terms of an add, and in which epoch it was made before, None where it was not."""
    terms = Confirmation(job.dispatcher, job.timeout_ms, Pickup(job.pickup))
    return terms, job.epoch or None if job.maybe else None


def _new(job: Kept) -> NewJob:
    options = json.loads(job.options)
    if options.pop("delay", 0) and (left := job.due_ms - now_ms()) > 0:
        options["delay"] = left
    return NewJob(JobKind(job.name, options), job.id, job.data)


def _unsettled(job: Kept) -> Unsettled:
    return Unsettled.of(_new(job), job.made_ms, known=job.known)

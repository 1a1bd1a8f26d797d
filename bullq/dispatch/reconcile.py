"""Look through what an outage has left in doubt, and settle what can be known.

What cannot be known is reported, not guessed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from bullq.store.arbiter import Arbiter, Standing

if TYPE_CHECKING:
    from bullq.dispatch.outbox import Kept, Outbox
    from bullq.dispatch.relay import Relay
    from bullq.queues.queue import JobQueue

_MOST = 1_000  # jobs of one kind and queue that one look tells of
_ON_BULLMQ = {
    Standing.PICKED: "a worker has begun it",
    Standing.GONE: "it was on BullMQ, and its record is gone: it ran, or was removed",
    Standing.WAITING: "it waits on BullMQ",
    Standing.DELAYED: "it waits on BullMQ",
    Standing.PARENT: "it waits on BullMQ",
    Standing.SCHEDULE: "it waits on BullMQ",
}

Sweep = Callable[["JobQueue"], Awaitable[bool]]
"""Sweeps a queue once, and tells whether there is more to do."""


class Finding(NamedTuple):
    """A job in doubt: where it is kept ('outbox' or 'redis'), and what is known of it."""

    queue: str
    id: str
    kept: str
    what: str
    settled: bool


class Reconciliation:
    """One pass over an application's *queues* and its outbox; *sweep* is None without Inngest."""

    def __init__(
        self,
        queues: Iterable[JobQueue],
        outbox: Outbox | None,
        relay: Relay | None,
        sweep: Sweep | None,
    ) -> None:
        self._queues = list(queues)
        self._outbox = outbox
        self._relay = relay
        self._sweep = sweep

    async def look(self) -> list[Finding]:
        """Tell what is in doubt, changing nothing. Raises StoreUnavailable."""
        findings: list[Finding] = []
        for queue in self._queues:
            findings += await self._in_redis(queue)
            findings += [finding for _, finding in await self._in_outbox(queue)]
        return findings

    async def settle(self) -> list[Finding]:
        """Settle what can be; tell what was in doubt, and what of it still is."""
        before = await self.look()
        for queue in self._queues:
            await self._release(queue)
            while self._sweep is not None and await self._sweep(queue):
                pass
        while self._relay is not None:
            delivered, _ = await self._relay.flush()
            if not delivered:
                break
        after = {(one.queue, one.id, one.kept): one for one in await self.look()}
        return [
            after.get((one.queue, one.id, one.kept), one._replace(settled=True)) for one in before
        ]

    async def _in_redis(self, queue: JobQueue) -> list[Finding]:
        """Tell of routed jobs without an accepted event, and of jobs that should have begun."""
        keys, client, name = queue.keys, queue.store.client(), queue.spec.name
        with queue.store.errors():
            unsent = await client.zrange(keys.key("bullq:rerouted"), 0, _MOST - 1)
            seconds, _ = await client.time()
            overdue = await client.zrangebyscore(
                keys.key("bullq:pickups"), "(0", int(seconds) * 1000, start=0, num=_MOST
            )
        told = "it left BullMQ, and Inngest has not accepted its event yet"
        late = "no worker has begun it in time"
        return [Finding(name, one, "redis", told, settled=False) for one in unsent] + [
            Finding(name, one, "redis", late, settled=False) for one in overdue
        ]

    async def _in_outbox(self, queue: JobQueue) -> list[tuple[Kept, Finding]]:
        if self._outbox is None:
            return []
        jobs = await self._outbox.jobs(queue.spec.name, limit=_MOST)
        if not jobs:
            return []
        arbiter = Arbiter(queue.scripts(), queue.keys)
        with queue.store.errors():
            looked = await arbiter.look([job.id for job in jobs])
        return [
            (job, Finding(job.queue, job.id, "outbox", _known(job, standing), settled=False))
            for job, standing in zip(jobs, looked.standings, strict=True)
        ]

    async def _release(self, queue: JobQueue) -> None:
        """Let jobs be delivered of which it can be known by now who has them."""
        if self._outbox is None:
            return
        for job, finding in await self._in_outbox(queue):
            if job.problem and finding.what != job.problem:
                await self._outbox.hold_back(job, "")


def _known(job: Kept, standing: Standing) -> str:
    """Say what is known of a job in the outbox, whose place in Redis is *standing*."""
    if standing in _ON_BULLMQ:
        return _ON_BULLMQ[standing]
    if standing is Standing.ROUTED:
        return "it is Inngest's, whose word on its event is missing"
    if job.problem:
        return job.problem
    if job.sent:
        return "its event was sent without an answer, and BullMQ has not got it"
    return "no engine has it"

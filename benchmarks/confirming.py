"""Measure what Redis spends on confirming: the same jobs are added and claimed with it and without.

Dispatchers and workers are left out, as how they fill their calls would differ between the two.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import redis.asyncio

from benchmarks.server import Server
from bullq.dispatch.ids import new_job_id
from bullq.protocol.keys import QueueKeys
from bullq.store.adding import AddScript, JobKind, NewJob
from bullq.store.arbiter import Arbiter, Confirmation, started_channel
from bullq.store.connection import Store
from bullq.store.scripts import Claim, WorkerScripts

BATCHES = (1, 20, 100)
"""How many jobs one call adds, and another one claims."""
_ROUNDS = 200
_KIND = JobKind("confirmed", {"attempts": 3, "removeOnComplete": {"count": 0}})
_DATA = b'{"order_id":1,"email":"a@example.com"}'
_CONFIRMATION = Confirmation("bench", 1_000)
_FEWEST_SEEN = 20  # as dispatchers have ids forgotten


class _Side:
    """A queue whose jobs are confirmed, or are not."""

    def __init__(self, store: Store, server: Server, *, confirmed: bool) -> None:
        connection, self.keys = store.pipelined(), QueueKeys("bull", f"confirmed-{confirmed}")
        self._server = server
        self._confirmed = confirmed
        self._adds = AddScript(connection, self.keys)
        self._arbiter = Arbiter(connection, self.keys)
        claim = Claim(lock_duration_ms=30_000, worker="bench", plain=True)
        self._worker = WorkerScripts(connection, self.keys, claim)
        self._seen: list[str] = []

    async def spend(self, count: int) -> float:
        """Add and claim *count* jobs; give what Redis' scripts took for each, in µs."""
        jobs = [NewJob(_KIND, new_job_id(), _DATA) for _ in range(count)]
        before = self._server.spent()
        await self._add(jobs)
        claimed = (await self._worker.exchange([], [str(place) for place in range(count)])).claimed
        spent = self._server.spent().scripts_us - before.scripts_us
        if len(claimed) < count:
            raise RuntimeError(f"of {count} jobs {len(claimed)} were claimed")
        return spent / count

    async def _add(self, jobs: Sequence[NewJob]) -> None:
        if not self._confirmed:
            await self._adds.add_jobs(jobs)
            return
        seen: list[str] = []
        if len(self._seen) >= _FEWEST_SEEN:
            seen, self._seen = self._seen, []
        await self._arbiter.add_confirmed(jobs, _CONFIRMATION, seen=seen)
        self._seen += [job.id for job in jobs]


async def cost(server: Server, batch: int) -> float:
    """Give what confirming costs Redis, in µs a job, where calls have *batch* jobs each."""
    server.empty()
    store = Store(server.url)
    listener: Any = redis.asyncio.Redis.from_url(server.url)
    heard = listener.pubsub()
    await heard.subscribe(started_channel("bull", _CONFIRMATION.dispatcher))
    sides = [_Side(store, server, confirmed=one) for one in (False, True)]
    for side in sides:
        await side.spend(batch)  # the server reads the scripts, and knows the queue
    spent = [[await side.spend(batch) for side in sides] for _ in range(_ROUNDS)]
    await heard.aclose()
    await listener.aclose()
    await store.aclose()
    without, with_it = zip(*spent, strict=True)
    return float(statistics.median(with_it) - statistics.median(without))

"""What a renewal tells of locks that it could not renew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bullq import QueueSpec
from bullq.queues.queue import JobQueue
from bullq.worker.renewal import Renewal
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.workers import Recorder

LONG = QueueSpec(name="long", lock_duration=30)


@contextlib.asynccontextmanager
async def renewing(queue: JobQueue, held: dict[str, str]) -> AsyncIterator[asyncio.Queue[str]]:
    """Renew the locks *held* (token -> job id); give the tokens of those that are lost."""
    lost: asyncio.Queue[str] = asyncio.Queue()
    renewal = Renewal(queue, lost.put_nowait, Recorder(), every=0.05)
    for token, job_id in held.items():
        renewal.hold(job_id, token)
    renewal.start()
    try:
        yield lost
    finally:
        renewal.stop()


async def test_a_job_lost_and_claimed_again_here_keeps_its_new_lock(make_app: AppFactory) -> None:
    """As after a pause of the whole process, while the first attempt is still running."""
    queue = make_app(queues=[LONG]).queue("long")
    client = queue.store.client()
    await client.set(queue.keys.job("a") + ":lock", "new", ex=20)
    await client.set(queue.keys.job("b") + ":lock", "theirs", ex=20)
    async with renewing(queue, {"old": "a", "new": "a", "ours": "b"}) as lost:
        told = [await asyncio.wait_for(lost.get(), DEADLINE) for _ in range(2)]
        assert sorted(told) == ["old", "ours"]
        assert lost.empty()
        assert await client.ttl(queue.keys.job("a") + ":lock") > 25


async def test_a_job_lost_again_is_lost_to_all_its_attempts(make_app: AppFactory) -> None:
    queue = make_app(queues=[LONG]).queue("long")
    await queue.store.client().set(queue.keys.job("a") + ":lock", "theirs", ex=20)
    async with renewing(queue, {"old": "a", "new": "a"}) as lost:
        told = [await asyncio.wait_for(lost.get(), DEADLINE) for _ in range(2)]
        assert sorted(told) == ["new", "old"]

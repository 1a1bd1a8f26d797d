"""The place beside a queue where its canaries go: under a prefix that nobody else knows.

A job of a name that a foreign worker does not know may be run by it all the same. So canaries are
on no queue that anybody but bullq's workers listens to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bullq.queues.queue import JobQueue
from bullq.queues.spec import Keep, QueueSpec
from bullq.store.adding import JobKind

if TYPE_CHECKING:
    from collections.abc import Iterable

CANARY = JobKind("canary", {"attempts": 1, "removeOnComplete": True, "removeOnFail": True})
"""What all canaries are on BullMQ."""

_KEYS = (
    *("meta", "id", "events", "marker", "wait", "active", "prioritized", "delayed", "pc"),
    *("completed", "failed", "stalled", "stalled-check", "limiter", "repeat"),
)


def canary_queue(queue: JobQueue) -> JobQueue:
    """Give the queue for the canaries of *queue*, on the running event loop."""
    spec = QueueSpec(
        name=queue.spec.name,
        concurrency=1,
        attempts=1,
        keep_completed=Keep(count=0),
        keep_failed=Keep(count=0),
        drain_timeout=0,
    )
    return JobQueue(spec, queue.store, f"{queue.keys.prefix}-canary")


async def expire(queue: JobQueue, ms: int, more: Iterable[str] = ()) -> None:
    """Have all that canaries leave in Redis go by itself, *ms* from now."""
    with queue.store.errors():
        async with queue.store.client().pipeline(transaction=False) as pipe:
            for name in (*_KEYS, *more):
                pipe.pexpire(queue.keys.key(name), ms)
            await pipe.execute()


def answer_key(queue: JobQueue, canary_id: str) -> str:
    """Name the list in which another engine says that a canary came."""
    return queue.keys.key(f"answered:{canary_id}")

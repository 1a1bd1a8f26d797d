"""A job on Inngest in our own store: its log, its outcome, its events, its effects."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from bullq.engines.inngest.shared import Ended, Shared
from bullq.errors import StoreUnavailable
from bullq.store.arbiter import Arbiter, Unsettled, Verdict
from bullq.store.elsewhere import ElsewhereScripts

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue

T = TypeVar("T")

_DEADLINE = 1.0  # seconds for one call: the store may be away, which is why the job is here
_PAUSE = 2.0  # seconds for which a store that was away is not asked what can be done without
_REFUSED = -2


class Reach:
    """When a store was last out of reach, for all jobs that use it."""

    def __init__(self) -> None:
        self._away_until = 0.0

    @property
    def is_away(self) -> bool:
        """Whether it was not there a moment ago."""
        return time.monotonic() < self._away_until

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Note it where the store cannot be reached in the block."""
        try:
            yield
        except StoreUnavailable:
            self._away_until = time.monotonic() + _PAUSE
            raise


class StoredShared(Shared):
    """One job's part of the store."""

    def __init__(self, queue: JobQueue, job_id: str, reach: Reach) -> None:
        self._queue = queue
        self._id = job_id
        self._reach = reach
        store = queue.store
        self._scripts = ElsewhereScripts(store.client(), store.pipelined(), queue.keys)

    async def begin(self, *, name: str, data: str, attempts: int, timestamp: int) -> None:
        """Give the job a record, so that its log has a place."""
        options = json.dumps({"attempts": attempts})
        await self._passing(
            self._scripts.begin_elsewhere(
                self._id,
                engine="inngest",
                name=name,
                data=data,
                options=options,
                timestamp=timestamp,
            )
        )

    async def log(self, row: str, place: str | None = None) -> None:
        """Add a row to the job's log; one from a *place* in its body only where it is a new one."""
        keep = self._queue.spec.keep_logs
        if place is None:
            await self._passing(self._scripts.add_log(self._id, row, keep))
        else:
            await self._passing(self._scripts.add_log_once(self._id, place, row, keep))

    async def progress(self, text: str) -> None:
        """Record how far the job is."""
        await self._passing(self._scripts.update_progress(self._id, text))

    async def end(self, ended: Ended) -> None:
        """Record how the job has ended."""
        await self.begin(
            name=ended.name, data=ended.data, attempts=ended.attempts, timestamp=ended.began_ms
        )
        answer = await self._asked(
            self._scripts.end_elsewhere(
                self._id,
                "completed" if ended.completed else "failed",
                ended.value,
                traces=[ended.trace] if ended.trace else [],
                attempts=ended.attempts_made,
            )
        )
        if answer == _REFUSED:
            raise StoreUnavailable(
                f"the job {self._id} is on BullMQ's queue {self._queue.spec.name!r}, too, which "
                "will run it: it was sent to both engines"
            )

    async def settle(self, job: Unsettled, epoch: str) -> Verdict:
        """Have it decided whether BullMQ has the job, and note that its event has come."""
        arbiter = Arbiter(self._queue.scripts(), self._queue.keys)
        settled = (await self._asked(arbiter.settle([job], epoch=epoch))).settled[0]
        if settled.verdict is Verdict.ERROR:
            raise StoreUnavailable(f"Redis cannot say who runs the job {job.id}: {settled.error}")
        if settled.parcel is not None:
            with contextlib.suppress(StoreUnavailable):  # a sweeper sends it again, to no effect
                await self._asked(arbiter.sent([job.id]))
        return settled.verdict

    async def find_effect(self, key: str) -> str | None:
        """Give the result that is recorded for an effect of the queue."""
        return await self._asked(self._scripts.find_effect(key))

    async def record_effect(self, key: str, result: str) -> str:
        """Record an effect's result unless there is one."""
        return await self._asked(self._scripts.record_effect(key, result))

    async def take_signal(self, event: str, step: str) -> str | None:
        """Give the payload of the oldest event of that name that no other step has taken."""
        return await self._asked(self._scripts.take_signal(self._id, event, step))

    async def _passing(self, call: Awaitable[Any]) -> None:
        """Make a call that the job can do without."""
        if self._reach.is_away:
            close = getattr(call, "close", None)
            if close is not None:
                close()
            raise StoreUnavailable("Redis was out of reach a moment ago")
        await self._asked(call)

    async def _asked(self, call: Awaitable[T]) -> T:
        with self._reach.watched():
            try:
                async with asyncio.timeout(_DEADLINE):
                    with self._queue.store.errors():
                        return await call
            except TimeoutError:
                raise StoreUnavailable(
                    f"Redis did not answer within {_DEADLINE:g} s", in_doubt=True
                ) from None

"""Send jobs to one queue: what many callers add at once travels in few calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bullq.errors import DispatchInDoubt, InvalidOptionError, StoreUnavailable
from bullq.protocol.codes import explain
from bullq.store.adding import AddScript, Answer, NewJob, answers

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store
    from bullq.store.pipelined import PipelinedConnection, Waiter

MOST_COST = 250
"""What the jobs of one call may cost, at 8 us each or so: Redis is held for 2 to 3 ms."""
_OFFICIAL_COST = 5  # of a job that takes the way of the official scripts
_BYTES_PER_COST = 4_096  # of data

_UNDER_WAY = 2  # calls: one that Redis is at, and one that it finds when it is done
_NOT_PACKED = (TypeError, ValueError, OverflowError)

Outcome = str | Exception
"""The id of the job that is queued; or why this one is not, or why nobody knows."""
_Batch = list[tuple[NewJob, asyncio.Future[str]]]


class Adds:
    """Adds jobs to one queue, on the running event loop.

    A lone caller's job is sent at once. While two calls are under way, what others add is
    collected, and goes in one call as soon as one of them is answered.
    """

    def __init__(self, store: Store, connection: PipelinedConnection, keys: QueueKeys) -> None:
        self._store = store
        self._keys = keys
        self._loop = asyncio.get_running_loop()
        self._script = AddScript(connection, keys)
        self._common_cost = 1 if self._script.plain else _OFFICIAL_COST
        self._waiting: deque[tuple[NewJob, asyncio.Future[str]]] = deque()
        self._under_way = 0
        self._jobs_under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._introduced = False
        # Whether there is a connection whose server knows the script. Until then calls go one at
        # a time, so that none overtakes another one that has to be sent again.
        self._ready = False
        self._breaks = 0  # how often that ended

    def add(self, job: NewJob) -> asyncio.Future[str]:
        """Send a job, now or with others; the future gets its id, or its own error."""
        added: asyncio.Future[str] = self._loop.create_future()
        if self._under_way == 0 and not self._waiting:
            self._make([(job, added)])
            return added
        self._waiting.append((job, added))
        if self._under_way < self._most_under_way:
            self._send()
        return added

    async def add_many(self, jobs: Sequence[NewJob]) -> list[Outcome]:
        """Add jobs in order, until one is not queued; give the outcomes of those that were sent."""
        outcomes: list[Outcome] = []
        calls: deque[tuple[Sequence[NewJob], asyncio.Future[Any]]] = deque()
        chunks = self._chunks(jobs)
        chunk = next(chunks, None)
        breaks = self._breaks
        try:
            while chunk or calls:
                reply: asyncio.Future[Any] = self._loop.create_future()
                # After a break those under way may have to be made again: first they, then others.
                may_begin = len(calls) < _UNDER_WAY and (not calls or breaks == self._breaks)
                if chunk and may_begin and self._begin(chunk, reply):
                    calls.append((chunk, reply))
                    chunk, breaks = next(chunks, None), self._breaks
                    continue
                if calls:
                    told = await self._outcomes(*calls.popleft())
                elif chunk:
                    told = await self._outcomes(chunk, None)
                    chunk = next(chunks, None)
                outcomes += told
                if any(isinstance(one, Exception) for one in told):
                    chunk, chunks = None, iter(())
            return outcomes
        finally:
            for _, reply in calls:
                reply.cancel()

    async def introduce(self) -> None:
        """Write which library made the queue, where none has: dashboards read it."""
        if self._introduced:
            return
        try:
            with self._store.errors():
                await self._store.client().hsetnx(
                    self._keys.key("meta"), "version", f"bullq:{version('bullq')}"
                )
        except StoreUnavailable as error:
            raise StoreUnavailable(str(error)) from error  # of the jobs none was sent: no doubt
        self._introduced = True

    def answer(self, batch: _Batch, outcomes: Sequence[Outcome] | None) -> None:
        """Tell the callers of a batch, and send what has been collected. None: it was given up."""
        if outcomes is None:
            for _, added in batch:
                added.cancel()
        else:
            for (_, added), outcome in zip(batch, outcomes, strict=True):
                if added.done():
                    continue  # its caller has gone
                if isinstance(outcome, Exception):
                    added.set_exception(outcome)
                else:
                    added.set_result(outcome)
        if len(batch) > 1 or self._waiting:
            # First the callers go on, and what they add next goes in one call, too.
            self._loop.call_soon(self._end, len(batch))
        else:
            self._end(1)

    def send_again(self, batch: _Batch, error: Exception) -> None:
        """See what the error of a call means, and whether it has to be made in another way."""
        reply = self._loop.create_future()
        reply.set_exception(error)
        self._start(batch, reply)

    def _end(self, jobs: int) -> None:
        """Let the next call be made, now that one with this many jobs is answered."""
        self._under_way -= 1
        self._jobs_under_way -= jobs
        while self._waiting and self._under_way < self._most_under_way:
            self._send()

    @property
    def _most_under_way(self) -> int:
        return _UNDER_WAY if self._ready else 1

    def _send(self) -> None:
        """Send what waits: as much of it as one call may cost, and no more than the other has.

        Two calls of the same size keep Redis and Python busy at the same time.
        """
        batch: _Batch = []
        all_jobs, calls = len(self._waiting) + self._jobs_under_way, self._most_under_way
        cost, share = 0, (all_jobs + calls - 1) // calls
        while self._waiting and cost < MOST_COST and len(batch) < share:
            one = self._waiting.popleft()
            if not one[1].done():
                batch.append(one)
                cost += self._cost(one[0])
        if batch:
            self._make(batch)

    def _make(self, batch: _Batch) -> None:
        """Make a call."""
        self._under_way += 1
        self._jobs_under_way += len(batch)
        if not self._begin([job for job, _ in batch], _Call(self, batch)):
            self._start(batch, None)

    def _start(self, batch: _Batch, reply: asyncio.Future[Any] | None) -> None:
        task = asyncio.create_task(self._finish(batch, reply), name=f"bullq add {self._keys.queue}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, batch: _Batch, reply: asyncio.Future[Any] | None) -> None:
        outcomes = None
        try:
            outcomes = await self._outcomes([job for job, _ in batch], reply)
        finally:
            self.answer(batch, outcomes)

    def _begin(self, jobs: Sequence[NewJob], waiter: Waiter) -> bool:
        """Make a call if that can be done at once: *waiter* hears the reply."""
        if self._ready:
            try:
                if self._script.begin(jobs, waiter):
                    return True
            except _NOT_PACKED:
                return False  # going alone, each job shows whether it is the one
            self._break()
        return False

    def _break(self) -> None:
        self._ready = False
        self._breaks += 1

    async def _outcomes(
        self, jobs: Sequence[NewJob], reply: asyncio.Future[Any] | None
    ) -> list[Outcome]:
        """Wait for the *reply* to a call, or make the call where there is none."""
        try:
            with self._store.errors():
                if reply is not None:
                    return read_reply(jobs, await reply)
                return await self._call(jobs)
        except StoreUnavailable as error:
            self._break()
            return [_doubt(error, job) for job in jobs]
        except Exception as error:  # noqa: BLE001 - whose job it is shows when each goes alone
            self._break()
            if reply is not None:
                return await self._outcomes(jobs, None)  # the server has forgotten the script
            if len(jobs) == 1:
                return [InvalidOptionError(f"{jobs[0].id}: cannot be added: {error}")]
            # Nobody fails for what another one adds; adding an id again is harmless.
            return [outcome for job in jobs for outcome in await self._outcomes([job], None)]

    async def _call(self, jobs: Sequence[NewJob]) -> list[Outcome]:
        """Add jobs in one call, with a new connection if need be."""
        await self.introduce()
        told = await self._script.add_jobs(jobs)
        self._ready = True
        return read_reply(jobs, told)

    def _chunks(self, jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
        """Cut jobs into what one call may cost."""
        start, cost = 0, 0
        for place, job in enumerate(jobs):
            if cost >= MOST_COST:
                yield jobs[start:place]
                start, cost = place, 0
            cost += self._cost(job)
        if start < len(jobs):
            yield jobs[start:]

    def _cost(self, job: NewJob) -> int:
        kind, _, data = job
        cost = self._common_cost if kind.is_common else _OFFICIAL_COST
        return cost + len(data) // _BYTES_PER_COST


class _Call:
    """Hears of the reply to a call, as an asyncio.Future would, but in the same moment."""

    __slots__ = ("_adds", "_batch")

    def __init__(self, adds: Adds, batch: _Batch) -> None:
        self._adds = adds
        self._batch = batch

    def done(self) -> bool:
        return False

    def set_result(self, reply: Any) -> None:
        self._adds.answer(self._batch, read_reply([job for job, _ in self._batch], reply))

    def set_exception(self, error: Exception) -> None:
        self._adds.send_again(self._batch, error)


def read_reply(jobs: Sequence[NewJob], reply: Sequence[Answer]) -> list[Outcome]:
    """Tell for each job of a call what its reply means for it."""
    if not reply:
        return [job_id for _, job_id, _ in jobs]
    return [_outcome(job, answer) for job, answer in zip(jobs, answers(jobs, reply), strict=True)]


def _outcome(job: NewJob, answer: Answer) -> Outcome:
    if isinstance(answer, int):
        return InvalidOptionError(f"{job.id}: {explain(answer)}")
    if answer.startswith("!"):
        return InvalidOptionError(f"{job.id}: Redis cannot add it: {answer[1:]}")
    return answer


def _doubt(error: StoreUnavailable, job: NewJob) -> Exception:
    told: Exception = StoreUnavailable(str(error))
    if error.in_doubt:
        told = DispatchInDoubt(
            f"{error} The job {job.id} was sent and may be queued; look with "
            f"'bullq jobs show {job.id}'. Sending it again under the same id is harmless.",
            job.id,
        )
    told.__cause__ = error
    return told

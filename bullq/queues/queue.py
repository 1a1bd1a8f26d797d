"""Put jobs on one queue, refusing what Node would refuse; lead to all else that it can do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import bullmq

from bullq.clock import Duration
from bullq.errors import (
    DispatchInDoubt,
    InvalidOptionError,
    StoreUnavailable,
    UnknownQueueError,
)
from bullq.protocol.codes import explain
from bullq.protocol.events import QueueEvent
from bullq.protocol.keys import QueueKeys
from bullq.protocol.options import (
    JobOptions,
    check_attempts,
    check_deduplication,
    check_delay,
    check_job_id,
    check_priority,
)
from bullq.queues.control import QueueControl
from bullq.queues.editing import JobEditor
from bullq.queues.events import read_events
from bullq.queues.getters import QueueView
from bullq.queues.steplog import StepLog
from bullq.store.adding import AddScript, NewJob

if TYPE_CHECKING:
    from bullq.queues.spec import QueueSpec
    from bullq.store.connection import Store

CHUNK = 50
"""Jobs per call: at 20 to 80 us each they hold Redis for less than 5 ms."""


class JobQueue:
    """One queue: its spec, its keys, and the live `bullmq.Queue` on the running event loop.

    *view* reads it, *control* runs it as a whole, *jobs* changes single jobs of it, *steps*
    records what running jobs have done.
    What many tasks add at the same moment goes in one call; a lone caller waits for nobody.
    """

    def __init__(
        self,
        spec: QueueSpec,
        store: Store,
        prefix: str,
        sibling: Callable[[str], JobQueue] | None = None,
    ) -> None:
        self.spec = spec
        self.store = store
        self.keys = QueueKeys(prefix, spec.name)
        self.live = bullmq.Queue(spec.name, {"connection": store.client(), "prefix": prefix})
        self.view = QueueView(store, self.keys)
        self.control = QueueControl(store, self.keys)
        self.jobs = JobEditor(store, self.keys)
        self.steps = StepLog(store, self.keys)
        self._sibling = sibling
        self._script = AddScript(store.pipelined(), self.keys)
        self._waiting: deque[tuple[NewJob, asyncio.Future[str]]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._introduced = False

    def sibling(self, name: str) -> JobQueue:
        """Give another queue of the application; raises UnknownQueueError."""
        if name == self.spec.name:
            return self
        if self._sibling is None:
            raise UnknownQueueError(f"The queue {self.spec.name!r} stands alone: no {name!r} here")
        return self._sibling(name)

    async def add(self, job: NewJob) -> str:
        """Add a job and give its id; with deduplication it can be another, earlier job's.

        Raises InvalidOptionError, StoreUnavailable (the job is not on the queue) and
        DispatchInDoubt (it may be: no answer came).
        """
        check_options(job.options)
        added: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, added))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name=f"bullq add {self.spec.name}")
        return await added

    async def add_many(self, jobs: Sequence[NewJob]) -> list[str]:
        """Add jobs in order, in chunks that keep Redis free for others, and give their ids.

        Every job's options are checked before the first is added; a refusal by Redis names
        the jobs it concerns.
        """
        for job in jobs:
            check_options(job.options)
        ids: list[str] = []
        for start in range(0, len(jobs), CHUNK):
            chunk = jobs[start : start + CHUNK]
            try:
                outcomes = await self._add(chunk)
            except StoreUnavailable as error:
                raise _doubt(error, chunk[0], queued=len(ids)) from error
            if refused := [str(one) for one in outcomes if isinstance(one, Exception)]:
                raise InvalidOptionError("; ".join(refused))
            ids += [str(one) for one in outcomes]
        return ids

    def events(
        self, *, since: str | None = None, quiet_for: Duration | None = None
    ) -> AsyncIterator[QueueEvent]:
        """Give the queue's events as they happen, for `async for`; reconnects by itself.

        *since* is the id of the last event that is known already, '0-0' for all that the stream
        still holds, None for those from now on. Ends after *quiet_for* (seconds or timedelta)
        without an event; None: never.
        """
        return read_events(self.store, self.keys, since=since, quiet_for=quiet_for)

    async def _send(self) -> None:
        """Send what waits to be added, for as long as there is any."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), CHUNK))]
            outcomes: Sequence[str | Exception]
            try:
                outcomes = await self._add([job for job, _ in batch])
            except StoreUnavailable as error:
                outcomes = [_doubt(error, job) for job, _ in batch]
            except Exception:  # noqa: BLE001 - such as an option that cannot be packed
                # Nobody fails for what another one adds; adding an id again is harmless.
                outcomes = [await self._add_alone(job) for job, _ in batch]
            except asyncio.CancelledError:
                for _, added in batch:
                    added.cancel()
                raise
            for (_, added), outcome in zip(batch, outcomes, strict=True):
                if added.done():
                    continue  # its caller has gone
                if isinstance(outcome, Exception):
                    added.set_exception(outcome)
                else:
                    added.set_result(outcome)

    async def _add_alone(self, job: NewJob) -> str | Exception:
        try:
            [outcome] = await self._add([job])
        except StoreUnavailable as error:
            return _doubt(error, job)
        except Exception as error:  # noqa: BLE001 - its caller is told, whatever it is
            return InvalidOptionError(f"{job.options['jobId']}: cannot be added: {error}")
        return outcome

    async def _add(self, jobs: Sequence[NewJob]) -> list[str | Exception]:
        """Add jobs in one call; give each one's id, or why Redis refuses it."""
        await self._introduce()
        with self.store.errors():
            answers = await self._script.add_jobs(jobs)
        return [_outcome(job, answer) for job, answer in zip(jobs, answers, strict=True)]

    async def _introduce(self) -> None:
        """Write which library made the queue, where none has: dashboards read it."""
        if self._introduced:
            return
        try:
            with self.store.errors():
                await self.store.client().hsetnx(
                    self.keys.key("meta"), "version", f"bullq:{version('bullq')}"
                )
        except StoreUnavailable as error:
            raise StoreUnavailable(str(error)) from error  # of the jobs none was sent: no doubt
        self._introduced = True


def check_options(options: JobOptions) -> None:
    """Raise InvalidOptionError for what Node refuses, or BullMQ would mishandle."""
    if "jobId" in options:
        check_job_id(options["jobId"])
    check_priority(options.get("priority", 0))
    check_delay(options.get("delay", 0))
    check_attempts(options.get("attempts", 1))
    if "deduplication" in options:
        check_deduplication(options["deduplication"])
    if options.get("lifo") and options.get("priority"):
        raise InvalidOptionError(
            "A job is either lifo or has a priority: prioritised jobs have an order of their own"
        )


def _outcome(job: NewJob, answer: str | int) -> str | Exception:
    if isinstance(answer, int):
        return InvalidOptionError(f"{job.options['jobId']}: {explain(answer)}")
    if answer.startswith("!"):
        return InvalidOptionError(f"{job.options['jobId']}: Redis cannot add it: {answer[1:]}")
    return answer


def _doubt(error: StoreUnavailable, job: NewJob, *, queued: int = 0) -> Exception:
    job_id = job.options["jobId"]
    told = f"{error} {queued:,} jobs before {job_id} are queued." if queued else str(error)
    if not error.in_doubt:
        return StoreUnavailable(told)
    return DispatchInDoubt(
        f"{told} The job {job_id} was sent and may be queued; "
        f"look with 'bullq jobs show {job_id}'. Sending it again under the same id is harmless.",
        job_id,
    )

"""Put jobs on one queue, refusing what Node would refuse; lead to all else that it can do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import bullmq

from bullq.clock import Duration
from bullq.errors import DispatchError, DispatchInDoubt, InvalidOptionError, UnknownQueueError
from bullq.protocol.events import QueueEvent
from bullq.protocol.keys import QueueKeys
from bullq.protocol.options import check_job_id
from bullq.queues.adds import Adds, Outcome
from bullq.queues.control import QueueControl
from bullq.queues.editing import JobEditor
from bullq.queues.events import read_events
from bullq.queues.getters import QueueView
from bullq.queues.steplog import StepLog
from bullq.queues.trees import MOST_CHILDREN, TreeNode, read_tree
from bullq.store.barrier import DurableConnection

if TYPE_CHECKING:
    from bullq.queues.spec import QueueSpec
    from bullq.store.adding import NewJob
    from bullq.store.connection import Store
    from bullq.store.pipelined import PipelinedConnection


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
        self._adds = Adds(store, self.scripts(), self.keys)

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
        check_job_id(job.id)
        return await self._adds.add(job)

    async def add_many(self, jobs: Sequence[NewJob]) -> list[str]:
        """Add jobs in order, in chunks that keep Redis free for others, and give their ids.

        Every job's id is checked before the first is added. What ends it midway is raised with
        what is known of the jobs (DispatchError); a refusal by Redis names those it concerns.
        """
        for job in jobs:
            check_job_id(job.id)
        outcomes = await self._adds.add_many(jobs)
        ids = [outcome for outcome in outcomes if isinstance(outcome, str)]
        if len(ids) < len(jobs):
            raise _cut_short(jobs, outcomes)
        return ids

    def sending(self, job: NewJob) -> AbstractContextManager[NewJob]:
        """Give the job as it is to be sent, for the time in which others send it."""
        return nullcontext(job)

    def scripts(self, seconds: float | None = None) -> PipelinedConnection:
        """Give the connection for scripts that decide on jobs of the queue.

        It counts as lost after *seconds* without an answer; None: after the store's own deadline.
        With strict durability each answer comes once what was written outlives the server.
        """
        connection = self.store.pipelined() if seconds is None else self.store.prompt(seconds)
        return connection if self.spec.durability == "default" else DurableConnection(connection)

    async def check_durability(self) -> str | None:
        """Say what keeps the queue's writes where it has to be strict; else None.

        Raises StoreUnavailable where nothing does.
        """
        connection = self.scripts()
        if not isinstance(connection, DurableConnection):
            return None
        with self.store.errors():
            return await connection.check()

    async def introduce(self) -> None:
        """Write which library made the queue, where none has: dashboards read it."""
        await self._adds.introduce()

    async def tree(self, job_id: str, *, depth: int = 10, most: int = MOST_CHILDREN) -> TreeNode:
        """Read the flow below a job: *depth* levels in all, *most* children of each job."""
        return await read_tree(self.store, self.keys, job_id, depth=depth, most=most)

    def events(
        self, *, since: str | None = None, quiet_for: Duration | None = None
    ) -> AsyncGenerator[QueueEvent, None]:
        """Give the queue's events as they happen, for `async for`; reconnects by itself.

        *since* is the id of the last event that is known already, '0-0' for all that the stream
        still holds, None for those from now on. Ends after *quiet_for* (seconds or timedelta)
        without an event; None: never.
        """
        return read_events(self.store, self.keys, since=since, quiet_for=quiet_for)


def _cut_short(jobs: Sequence[NewJob], outcomes: Sequence[Outcome]) -> DispatchError:
    """Put what became of the jobs into one error."""
    queued = {place: one for place, one in enumerate(outcomes) if isinstance(one, str)}
    doubtful = {
        place: jobs[place].id
        for place, one in enumerate(outcomes)
        if isinstance(one, DispatchInDoubt)
    }
    refused = [str(one) for one in outcomes if isinstance(one, InvalidOptionError)]
    error = next(one for one in outcomes if isinstance(one, DispatchError))
    told = "; ".join(refused) if isinstance(error, InvalidOptionError) else str(error)
    if len(jobs) > 1:
        told += f" Of {len(jobs):,} jobs {len(queued):,} are queued"
        told += f", and {len(doubtful):,} may be." if doubtful else "."
    error.args = (told,)
    error.queued, error.doubtful = queued, doubtful
    return error

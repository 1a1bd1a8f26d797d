"""Run jobs in a test: no server, no waiting, every step and every event in the test's hands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from bullq.clock import Duration, to_ms
from bullq.dispatch.ids import new_job_id
from bullq.engines.inline import InlineEngine
from bullq.engines.inline_store import InlineStore
from bullq.engines.memo import PREFIX, Entry
from bullq.errors import JobFailed, ResultTimeout
from bullq.jobs.dispatching import Dispatcher, DispatchOptions, Receipt, bind_dispatcher
from bullq.jobs.payload import event_text

if TYPE_CHECKING:
    from bullq.engines.inline_job import InlineJob
    from bullq.jobs.definition import JobDefinition
    from bullq.jobs.job import Job
    from bullq.queues.spec import QueueSpec

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class StepView:
    """A step as it is on record.

    *state* is 'completed', 'failed' or 'begun'; *result* is plain JSON data, *failures* counts
    the attempts of a step that is tried again, *error* is what it failed with for good.
    """

    key: str
    state: str
    result: Any = None
    failures: int = 0
    error: str | None = None


class InlineRun(Receipt[ResultT]):
    """One job of an Inline engine: what it has come to, and the way on."""

    engine = "inline"

    def __init__(self, inline: Inline, record: InlineJob) -> None:
        self.id = record.id
        self.queue = record.job.queue
        self.name = record.job.name
        self._inline = inline
        self._record = record

    def __repr__(self) -> str:
        return f"<InlineRun {self.queue}/{self.name} {self.id}: {self.job_state}>"

    @property
    def job_state(self) -> str:
        """The job's state, by BullMQ's names: 'delayed' while it sleeps or waits for an event."""
        return self._record.state if self.id in self._inline.store.jobs else "unknown"

    @property
    def steps(self) -> list[StepView]:
        """The steps on record, in the order in which they were first made."""
        return [
            _view(name.removeprefix(PREFIX), Entry.read(text))
            for name, text in self._record.fields.items()
            if name.startswith(PREFIX)
        ]

    @property
    def logs(self) -> list[str]:
        """What the job has logged."""
        return self._record.logs

    @property
    def progress(self) -> Any:
        """What the job has last told of its progress."""
        return self._record.progress

    @property
    def errors(self) -> list[BaseException]:
        """What its failed attempts raised, the newest last."""
        return self._record.errors

    async def result(self, timeout: Duration | None = None) -> ResultT:  # noqa: ASYNC109 - by contract
        """Let time pass until the job has ended, and give its result.

        At most *timeout* of virtual time. Raises JobFailed, and ResultTimeout where it waits for
        something that does not come by itself.
        """
        await self._inline.run_to_end(self._record, None if timeout is None else to_ms(timeout))
        if self._record.failure is not None:
            raise JobFailed(self.id, self._record.failure)
        result: ResultT = self._record.job.result.decode(self._record.result or "null")
        return result

    def result_sync(self, timeout: Duration | None = None) -> ResultT:
        """Do the same as result(), from the thread of a sync job."""
        result: ResultT = self._inline.dispatcher.run_sync(lambda: self.result(timeout))
        return result

    async def status(self) -> str:
        """Tell the job's state."""
        return self.job_state


class Inline:
    """An engine for one test. Inside `async with`, jobs that are dispatched go to it.

    Jobs run by start(), advance() and run.result(); its clock moves by the latter two alone, from
    *now* on (None: the present).

        async with Inline() as engine:
            run = await engine.start(send_receipt, Order(order_id=7))
            await engine.advance(timedelta(minutes=10))
            assert await run.result() == Sent(message_id="7")
    """

    def __init__(self, *, queues: Iterable[QueueSpec] = (), now: datetime | None = None) -> None:
        self.store = InlineStore(queues, None if now is None else round(now.timestamp() * 1000))
        self.dispatcher = InlineDispatcher(self)
        self._engine = InlineEngine(self.store)
        self._drives = False
        self._before: Callable[[], Dispatcher] | None = None

    async def __aenter__(self) -> Self:
        self.dispatcher.loop = asyncio.get_running_loop()
        self._before = bind_dispatcher(lambda: self.dispatcher)
        return self

    async def __aexit__(self, *_: object) -> None:
        bind_dispatcher(self._before)
        await self._engine.aclose()

    @property
    def now(self) -> datetime:
        """The virtual time."""
        return datetime.fromtimestamp(self.store.now_ms / 1000, UTC)

    @property
    def runs(self) -> list[InlineRun[Any]]:
        """All jobs, those that other jobs have started included."""
        return [InlineRun(self, record) for record in self.store.jobs.values()]

    def run(self, job_id: str) -> InlineRun[Any]:
        """Give a job by its id; raises KeyError."""
        return InlineRun(self, self.store.jobs[job_id])

    async def start(
        self,
        job: Job[DataT, ResultT],
        payload: DataT,
        *,
        id: str | None = None,  # noqa: A002 - as dispatch has it
    ) -> InlineRun[ResultT]:
        """Queue a job, and run it and others as far as they go without time passing."""
        record = self.store.add(job, payload, new_job_id() if id is None else id)
        await self.settle()
        return InlineRun(self, record)

    async def settle(self) -> None:
        """Run what is due, such as jobs that were dispatched, without time passing."""
        await self._drive(self._engine.settle())

    async def advance(self, duration: Duration) -> None:
        """Let time pass, and run what comes due meanwhile."""
        await self._drive(self._engine.advance(to_ms(duration)))

    async def send_event(self, job_id: str, event: str, payload: Any = None) -> None:
        """Send an event to a job, and run what it wakes."""
        self.store.send_event(job_id, event, event_text(event, payload))
        await self.settle()

    async def remove(self, job_id: str) -> None:
        """Take a job away that does not run, as people do by a dashboard."""
        self.store.remove(job_id)
        await self.settle()

    def kill(self, job_id: str) -> None:
        """End a job that runs as a crash of its worker would; it begins anew."""
        self._engine.kill(job_id)

    async def run_to_end(self, record: InlineJob, timeout_ms: int | None) -> None:
        """Let time pass until a job has ended."""
        if self._drives:  # another job waits for it: whoever drives the engine goes on
            await self.store.until_ended(record)
            return
        end = None if timeout_ms is None else self.store.now_ms + timeout_ms
        await self.settle()
        while not record.is_final:
            due = self.store.next_due_ms()
            if due is None or (end is not None and due > end):
                raise ResultTimeout(
                    f"Job {record.id} ({record.job.queue}/{record.job.name}) is {record.state} "
                    f"and does not end by itself within that time; it has made the steps "
                    f"{[view.key for view in InlineRun(self, record).steps]}"
                )
            await self._drive(self._engine.advance(max(0, due - self.store.now_ms)))

    async def _drive(self, work: Any) -> None:
        if self._drives:
            work.close()
            return
        self._drives = True
        try:
            await work
        finally:
            self._drives = False


class InlineDispatcher(Dispatcher):
    """Takes what jobs and tests dispatch while the engine is in charge."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, inline: Inline) -> None:
        self._inline = inline

    async def dispatch(
        self, job: JobDefinition[DataT, ResultT], data: DataT, options: DispatchOptions
    ) -> Receipt[ResultT]:
        """Queue one job; it runs with the next call that runs jobs."""
        record = self._inline.store.add(
            cast("Job[DataT, ResultT]", job),
            data,
            new_job_id() if options.id is None else options.id,
            delay_ms=0 if options.delay is None else to_ms(options.delay),
            attempts=options.attempts,
        )
        return InlineRun(self._inline, record)

    async def dispatch_many(
        self, job: JobDefinition[DataT, ResultT], items: Sequence[DataT], options: DispatchOptions
    ) -> list[Receipt[ResultT]]:
        """Queue many jobs."""
        return [await self.dispatch(job, item, options) for item in items]

    async def send_event(
        self,
        job: JobDefinition[Any, Any],  # noqa: ARG002 - its id is enough here
        job_id: str,
        event: str,
        payload: str,
    ) -> None:
        """Keep an event for a job."""
        self._inline.store.send_event(job_id, event, payload)

    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run a coroutine on the engine's loop, from the thread of a sync job."""
        return asyncio.run_coroutine_threadsafe(call(), self.loop).result()


def _view(key: str, entry: Entry) -> StepView:
    if entry.error is not None:
        error = f"{entry.error['name']}: {entry.error['message']}"
        return StepView(key, "failed", failures=entry.failures, error=error)
    if entry.result is not None:
        return StepView(key, "completed", json.loads(entry.result))
    return StepView(key, "begun", failures=entry.failures)

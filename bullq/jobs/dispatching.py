"""How a job reaches its queue from business code: the port that an application fills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from bullq.clock import Duration
from bullq.errors import ActionRefused, StepMisuse
from bullq.jobs.definition import JobDefinition
from bullq.jobs.reasons import Reason

DataT = TypeVar("DataT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


DeduplicationMode = Literal["first", "replace", "debounce", "last"]
"""Which of the jobs with one deduplication id is to run."""


class DispatchOptions(NamedTuple):
    """How one job is to be queued. None means: as the job or its queue says."""

    id: str | None = None
    delay: Duration | None = None
    priority: int | None = None
    lifo: bool = False
    attempts: int | None = None
    deduplication_id: str | None = None
    deduplication_ttl: Duration | None = None
    deduplication_mode: DeduplicationMode = "first"
    deadline: Duration | None = None
    order_key: str | None = None


AS_DEFINED = DispatchOptions()
"""Nothing is said at the dispatch: the job and its queue say it all."""


class Receipt(ABC, Generic[ResultT_co]):
    """What dispatch gives back: where the job went, and the way to its result."""

    id: str
    """The job's id."""
    queue: str
    """The queue it is on."""
    name: str
    """The job's name."""
    engine: str
    """Who has it: 'bullmq', 'inngest', or 'outbox' until one of them can take it."""
    state: str = "queued"
    """How far it was when dispatch returned.

    On BullMQ 'queued', where pickup is not confirmed or has not happened yet, 'started' or
    'delayed'; at Inngest 'sent'; in the outbox 'kept'. 'dropped' where on_data_loss says so.
    """
    reason: Reason | None = None
    """Why it did not simply begin on BullMQ; None where it did, or nobody looked."""
    timings: Mapping[str, float] = MappingProxyType({})
    """How long each step of a confirmed dispatch took, in ms, and 'total'."""

    @abstractmethod
    async def result(self, timeout: Duration = 30) -> ResultT_co:  # noqa: ASYNC109 - a deadline of ours
        """Wait for the job's result, at most *timeout* (seconds or timedelta).

        Raises JobFailed when the job failed for good, ResultTimeout when time is up (the job
        goes on), ResultGone when the record was removed before anybody could read it.
        """

    @abstractmethod
    def result_sync(self, timeout: Duration = 30) -> ResultT_co:
        """Do the same as result(), for code without an event loop."""

    @abstractmethod
    async def status(self) -> str:
        """Tell the job's state: waiting, prioritized, delayed, active, completed, failed, ...

        'sent' while it is at Inngest and has not begun as far as is known, 'kept' in the outbox,
        'unknown' where nothing is on record.
        """

    async def cancel(self) -> None:
        """Take the job back before it begins; at Inngest, have its run end before its next step.

        Raises ActionRefused where that cannot be, JobNotFound, StoreUnavailable.
        """
        raise ActionRefused(f"The job {self.id} is on {self.engine}, which takes no job back")


class Dispatcher(ABC):
    """Whoever takes a job from business code and hands it to an engine."""

    @abstractmethod
    async def dispatch(
        self, job: JobDefinition[DataT, ResultT_co], data: DataT, options: DispatchOptions
    ) -> Receipt[ResultT_co]:
        """Queue one job."""

    @abstractmethod
    async def dispatch_many(
        self,
        job: JobDefinition[DataT, ResultT_co],
        items: Sequence[DataT],
        options: DispatchOptions,
    ) -> list[Receipt[ResultT_co]]:
        """Queue many jobs in few round trips."""

    async def send_event(
        self, job: JobDefinition[Any, Any], job_id: str, event: str, payload: str
    ) -> None:
        """Send an event, its *payload* as JSON text, to a job that waits for it or will."""
        raise StepMisuse(
            f"{type(self).__name__} sends no events, so that {event!r} cannot reach the job "
            f"{job_id} ({job.queue}/{job.name}: {len(payload)} bytes)"
        )

    @abstractmethod
    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run the coroutine that *call* makes from code without an event loop, and wait."""


_source: Callable[[], Dispatcher] | None = None


def bind_dispatcher(
    source: Callable[[], Dispatcher] | None,
) -> Callable[[], Dispatcher] | None:
    """Set who dispatches for this process, and give who did before.

    *source* is asked at every dispatch.
    """
    global _source
    before, _source = _source, source
    return before


def current_dispatcher() -> Dispatcher:
    """Give the dispatcher of this process' application."""
    if _source is None:
        raise RuntimeError("No application is set up; import bullq (not bullq.jobs alone) first")
    return _source()

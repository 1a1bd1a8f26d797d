"""The @job decorator: business code stays an ordinary function, and becomes a typed job."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, overload

from bullq.clock import Duration, to_ms
from bullq.errors import JobDefinitionError
from bullq.jobs.context import Context
from bullq.jobs.definition import Executor, JobDefinition, JobPolicy
from bullq.jobs.dispatching import (
    AS_DEFINED,
    DeduplicationMode,
    DispatchOptions,
    Receipt,
    current_dispatcher,
)
from bullq.jobs.flow import Flow, FlowTree, OnFailure
from bullq.jobs.payload import event_text
from bullq.jobs.reasons import OnDataLoss, Pickup
from bullq.jobs.retry import Backoff

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")

SERVICE_SUFFIX = "_service"


class Job(JobDefinition[DataT, ResultT]):
    """A function that can be dispatched. Calling it runs the function itself, here and now."""

    async def dispatch(
        self,
        data: DataT,
        *,
        id: str | None = None,  # noqa: A002 - the field's own word for it
        delay: Duration | None = None,
        priority: int | None = None,
        lifo: bool = False,
        attempts: int | None = None,
        deduplication_id: str | None = None,
        deduplication_ttl: Duration | None = None,
        deduplication_mode: DeduplicationMode = "first",
        deadline: Duration | None = None,
        order_key: str | None = None,
    ) -> Receipt[ResultT]:
        """Hand the job to one engine and return its receipt.

        *id* names the job (the same id twice is one job while its record is kept); *delay* and
        *deduplication_ttl* are seconds or timedeltas; *priority* goes from 1 (first) to
        2,097,152 (last), 0 for none; *lifo* puts it in front. *deadline* bounds a dispatch that
        confirms pickup or can fall back. Jobs of one *order_key* do not overtake one another on
        their way to their engine, which is the same for all. None: as the job or queue says.

        Of the jobs with one *deduplication_id* the 'first' runs, until it has ended or for
        *deduplication_ttl*. While it is delayed 'replace' takes each later one in its place, and
        'debounce' waits anew each time; 'last' runs the latest once an active one has ended.

        Raises PayloadError, InvalidOptionError, StoreUnavailable, DispatchUnavailable,
        DispatchInDoubt.
        """
        once = (deduplication_id, deduplication_ttl, deduplication_mode)
        said = (id, delay, priority, lifo, attempts, *once, deadline, order_key)
        options = AS_DEFINED if said == AS_DEFINED else DispatchOptions(*said)
        return await current_dispatcher().dispatch(self, data, options)

    def dispatch_sync(
        self,
        data: DataT,
        *,
        id: str | None = None,  # noqa: A002 - the field's own word for it
        delay: Duration | None = None,
        priority: int | None = None,
        lifo: bool = False,
        attempts: int | None = None,
        deduplication_id: str | None = None,
        deduplication_ttl: Duration | None = None,
        deduplication_mode: DeduplicationMode = "first",
        deadline: Duration | None = None,
        order_key: str | None = None,
    ) -> Receipt[ResultT]:
        """Do the same as dispatch(), for code without an event loop, such as Django and Flask."""
        receipt: Receipt[ResultT] = current_dispatcher().run_sync(
            lambda: self.dispatch(
                data,
                id=id,
                delay=delay,
                priority=priority,
                lifo=lifo,
                attempts=attempts,
                deduplication_id=deduplication_id,
                deduplication_ttl=deduplication_ttl,
                deduplication_mode=deduplication_mode,
                deadline=deadline,
                order_key=order_key,
            )
        )
        return receipt

    async def dispatch_many(
        self,
        items: Sequence[DataT],
        *,
        delay: Duration | None = None,
        priority: int | None = None,
        attempts: int | None = None,
    ) -> list[Receipt[ResultT]]:
        """Queue one job per item, in bounded chunks, in order; one receipt each.

        Every payload is checked before the first job is queued. What ends it midway (a
        DispatchError) has the receipts of the jobs that are queued, and the ids of those that
        may be.
        """
        options = DispatchOptions(delay=delay, priority=priority, attempts=attempts)
        return await current_dispatcher().dispatch_many(self, items, options)

    async def send_event(self, id: str, event: str, payload: Any = None) -> None:  # noqa: A002
        """Send an event to a job of this kind, for the step `ctx.wait_for` that names it.

        *id* is the job's, *payload* what JSON can hold. An event that comes before the wait is
        kept. Raises JobNotFound, PayloadError, StoreUnavailable.
        """
        text = event_text(event, payload)
        await current_dispatcher().send_event(self, id, event, text)

    def send_event_sync(self, id: str, event: str, payload: Any = None) -> None:  # noqa: A002
        """Do the same as send_event(), for code without an event loop."""
        current_dispatcher().run_sync(lambda: self.send_event(id, event, payload))

    def flow(
        self,
        data: DataT,
        *,
        children: Sequence[FlowTree] = (),
        on_failure: OnFailure = "fail",
        id: str | None = None,  # noqa: A002 - the field's own word for it
        delay: Duration | None = None,
        priority: int | None = None,
        lifo: bool = False,
        attempts: int | None = None,
    ) -> Flow[DataT, ResultT]:
        """Make a flow: this job, which begins once its *children* have ended.

        `dispatch()` queues it, or it becomes a child of another flow, in which *on_failure* says
        what its failure does to its parent. See Flow.
        """
        return Flow(
            self,
            data,
            children=children,
            on_failure=on_failure,
            id=id,
            delay=delay,
            priority=priority,
            lifo=lifo,
            attempts=attempts,
        )

    def _arguments(self, data: DataT, ctx: Context | None) -> tuple[Any, ...]:
        """Give what the function is called with."""
        if not self.takes_context:
            return (data,)
        if ctx is None:
            raise TypeError(f"{self.location} takes a Context as its second argument")
        return (data, ctx)


class AsyncJob(Job[DataT, ResultT]):
    """A job whose function is a coroutine function; it runs on the worker's event loop."""

    async def __call__(self, data: DataT, ctx: Context | None = None) -> ResultT:
        """Run the function itself, with *ctx* where it takes one."""
        result: ResultT = await self.function(*self._arguments(data, ctx))
        return result


class SyncJob(Job[DataT, ResultT]):
    """A job whose function is an ordinary one; it runs in a thread, or a process, of a worker."""

    def __call__(self, data: DataT, ctx: Context | None = None) -> ResultT:
        """Run the function itself, with *ctx* where it takes one."""
        result: ResultT = self.function(*self._arguments(data, ctx))
        return result


class JobDecorator:
    """What @job(...) gives back: it turns one function into a job."""

    def __init__(self, queue: str | None, name: str | None, policy: JobPolicy) -> None:
        self._queue = queue
        self._name = name
        self._policy = policy

    @overload
    def __call__(  # type: ignore[overload-overlap] # a coroutine is a result, too: first match
        self, function: Callable[[DataT], Awaitable[ResultT]], /
    ) -> AsyncJob[DataT, ResultT]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # same
        self, function: Callable[[DataT, Context], Awaitable[ResultT]], /
    ) -> AsyncJob[DataT, ResultT]: ...
    @overload
    def __call__(self, function: Callable[[DataT], ResultT], /) -> SyncJob[DataT, ResultT]: ...
    @overload
    def __call__(
        self, function: Callable[[DataT, Context], ResultT], /
    ) -> SyncJob[DataT, ResultT]: ...
    def __call__(self, function: Callable[..., Any], /) -> Job[Any, Any]:
        """Make *function* a job."""
        if not hasattr(function, "__qualname__"):
            raise JobDefinitionError(
                [
                    f"@job decorates a function, not {function!r}; "
                    "options are given by keyword, as in @job(queue=..., name=...)"
                ]
            )
        queue, name = _place(function, self._queue, self._name)
        kind = AsyncJob if inspect.iscoroutinefunction(function) else SyncJob
        return kind(function, queue=queue, name=name, policy=self._policy)


@overload
def job(  # type: ignore[overload-overlap] # same
    function: Callable[[DataT], Awaitable[ResultT]], /
) -> AsyncJob[DataT, ResultT]: ...
@overload
def job(  # type: ignore[overload-overlap] # same
    function: Callable[[DataT, Context], Awaitable[ResultT]], /
) -> AsyncJob[DataT, ResultT]: ...
@overload
def job(function: Callable[[DataT], ResultT], /) -> SyncJob[DataT, ResultT]: ...
@overload
def job(function: Callable[[DataT, Context], ResultT], /) -> SyncJob[DataT, ResultT]: ...
@overload
def job(
    *,
    queue: str | None = None,
    name: str | None = None,
    attempts: int | None = None,
    backoff: Backoff | None = None,
    timeout: Duration | None = None,
    priority: int | None = None,
    cron: str | None = None,
    every: Duration | None = None,
    tz: str = "UTC",
    executor: Executor = "auto",
    fallback: bool | None = None,
    pickup: Pickup | None = None,
    on_data_loss: OnDataLoss | None = None,
    order_key: Callable[[Any], str | None] | None = None,
) -> JobDecorator: ...
def job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    queue: str | None = None,
    name: str | None = None,
    attempts: int | None = None,
    backoff: Backoff | None = None,
    timeout: Duration | None = None,
    priority: int | None = None,
    cron: str | None = None,
    every: Duration | None = None,
    tz: str = "UTC",
    executor: Executor = "auto",
    fallback: bool | None = None,
    pickup: Pickup | None = None,
    on_data_loss: OnDataLoss | None = None,
    order_key: Callable[[Any], str | None] | None = None,
) -> Any:
    """Make a function `(data)` or `(data, ctx)` a job; use it bare or with options.

    *queue* and *name* come from the file, `<queue>/<name>_service.py`, underscores becoming
    hyphens, where they are not given. *attempts* counts all tries, *backoff* says how long to
    wait between them; *timeout* (seconds or timedelta, more than 0) bounds one of them;
    *priority* goes from 1 (first) to 2,097,152 (last), 0 for none; *cron* (5 fields, or 6 with
    seconds first, in the time zone *tz*) or *every* makes the job recur. None: as the queue says.

    *executor* 'process' runs an ordinary function `(data)` in a process beside the worker, which
    CPU-bound code keeps busy, or kills, without harm to other jobs; as many run at once as there
    are CPUs. 'thread' takes one of the worker's threads; 'auto' leaves a coroutine function on the
    event loop, any other in a thread.

    *fallback* False keeps the job on BullMQ; *order_key* gives the order key of a payload. They,
    *pickup* and *on_data_loss* are told in docs/dispatch.md.
    """
    policy = JobPolicy(
        attempts=attempts,
        backoff=backoff,
        timeout_ms=None if timeout is None else to_ms(timeout),
        priority=priority,
        cron=cron,
        every_ms=None if every is None else to_ms(every),
        tz=tz,
        executor=executor,
        fallback=fallback,
        pickup=pickup,
        on_data_loss=on_data_loss,
        order_key=order_key,
    )
    decorate = JobDecorator(queue, name, policy)
    return decorate if function is None else decorate(function)


def _place(function: Callable[..., Any], queue: str | None, name: str | None) -> tuple[str, str]:
    """Tell a job's queue and name from where its function stands."""
    parent, _, module = function.__module__.rpartition(".")
    if module.endswith(SERVICE_SUFFIX) and parent:
        queue = queue or _hyphens(parent.rpartition(".")[2])
        name = name or _hyphens(module.removesuffix(SERVICE_SUFFIX))
    if queue is None:
        raise JobDefinitionError(
            [
                f"{function.__module__}.{function.__qualname__}: its queue cannot be told from "
                "the file; put it into <queue>/<job>_service.py or say @job(queue=...)"
            ]
        )
    return queue, name or _hyphens(function.__name__)


def _hyphens(python_name: str) -> str:
    return python_name.strip("_").replace("_", "-")

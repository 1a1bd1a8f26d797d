"""Flows: a job that begins once others have ended, and what it then learns of them. Pure."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from bullq.clock import Duration
from bullq.errors import ActionRefused, InvalidOptionError
from bullq.jobs.definition import JobDefinition
from bullq.jobs.dispatching import DispatchOptions, Receipt

if TYPE_CHECKING:
    from bullq.jobs.context import Context

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")

_ENGINE = "bullmq"

OnFailure = Literal["fail", "continue", "ignore", "remove", "wait"]
"""What the failure of a child does to its parent."""


class FlowTree:
    """A flow of any job: what the children of a flow are to it."""

    job: JobDefinition[Any, Any]
    data: Any
    children: tuple[FlowTree, ...]
    on_failure: OnFailure
    options: DispatchOptions


class Flow(FlowTree, Generic[DataT, ResultT]):
    """A job with its payload, and the flows that have to end before it begins: `job.flow(...)`.

    *children* can be jobs of any queue, with children of their own. What a child does to its
    parent when it fails for good is said by the child's *on_failure*: 'fail' fails the parent,
    too; 'continue' lets it begin at once; 'ignore' and 'remove' let it go on once the others have
    ended, 'remove' without a trace of the child; 'wait' holds it until the child was retried.

    *id*, *delay*, *priority*, *lifo* and *attempts* are those of dispatch(); a parent's delay
    begins once its children have ended.
    """

    def __init__(
        self,
        job: JobDefinition[DataT, ResultT],
        data: DataT,
        *,
        children: Sequence[FlowTree] = (),
        on_failure: OnFailure = "fail",
        id: str | None = None,  # noqa: A002 - the field's own word for it
        delay: Duration | None = None,
        priority: int | None = None,
        lifo: bool = False,
        attempts: int | None = None,
    ) -> None:
        if on_failure not in get_args(OnFailure):
            known = ", ".join(map(repr, get_args(OnFailure)))
            raise InvalidOptionError(f"on_failure is one of {known}, not {on_failure!r}")
        self.job = job
        self.data = data
        self.children = tuple(children)
        self.on_failure = on_failure
        self.options = DispatchOptions(
            id=id, delay=delay, priority=priority, lifo=lifo, attempts=attempts
        )

    def __repr__(self) -> str:
        below = f" with {len(self.children)} children" if self.children else ""
        return f"<Flow {self.job.queue}/{self.job.name}{below}>"

    async def dispatch(self) -> FlowReceipt[ResultT]:
        """Queue the whole tree in one step: all of it, or nothing.

        Where a job of the root's id exists already, nothing is added. Other jobs that exist
        become children, with the results they have. Raises PayloadError, InvalidOptionError,
        ActionRefused, StoreUnavailable, DispatchInDoubt.
        """
        return await current_flows().dispatch(self)

    def dispatch_sync(self) -> FlowReceipt[ResultT]:
        """Do the same as dispatch(), for code without an event loop."""
        receipt: FlowReceipt[ResultT] = current_flows().run_sync(self.dispatch)
        return receipt


@dataclass(frozen=True, slots=True)
class FlowReceipt(Generic[ResultT]):
    """The receipts of a tree of jobs: the root's, and those of its children in their order."""

    receipt: Receipt[ResultT]
    children: tuple[FlowReceipt[Any], ...]

    @property
    def id(self) -> str:
        """The id of the job at the root."""
        return self.receipt.id

    async def result(self, timeout: Duration = 30) -> ResultT:  # noqa: ASYNC109 - by contract
        """Wait for the root's result, as Receipt.result() does."""
        return await self.receipt.result(timeout)


@dataclass(frozen=True, slots=True)
class ChildResults:
    """What a parent learns of its children.

    *values* are the results of those that completed, as JSON text by their keys
    (`prefix:queue:id`); *names* the keys of children by queue and name, in the order in which
    they were given; *failures* the reasons of failures that were to be ignored, by key.
    """

    values: Mapping[str, str]
    names: Mapping[tuple[str, str], Sequence[str]]
    failures: Mapping[str, str] = field(default_factory=dict)

    def of(self, job: JobDefinition[Any, ResultT]) -> list[ResultT]:
        """Give the results of the children that were *job*, in the order they were given.

        Those that failed, or have not ended, are left out. Raises ResultError where a result
        is of another type.
        """
        keys = self.names.get((job.queue, job.name), ())
        return [job.result.decode(self.values[key]) for key in keys if key in self.values]

    def all(self) -> dict[str, Any]:
        """Give every result as JSON data, by the child's key."""
        return {key: json.loads(text) for key, text in self.values.items()}


class FlowPort(ABC):
    """Whoever takes flows from business code, and tells parents of their children."""

    @abstractmethod
    async def dispatch(self, flow: Flow[Any, ResultT]) -> FlowReceipt[ResultT]:
        """Queue a tree of jobs."""

    @abstractmethod
    async def children(self, queue: str, job_id: str) -> ChildResults:
        """Give what has become of a job's children."""

    @abstractmethod
    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run the coroutine that *call* makes from code without an event loop, and wait."""


async def children_of(ctx: Context) -> ChildResults:
    """Give what has become of the children of the running job.

    Raises ActionRefused on an engine other than BullMQ, StoreUnavailable where Redis is away.
    """
    if ctx.engine != _ENGINE:
        raise ActionRefused(
            f"Flows are BullMQ's, and the job {ctx.job_id} runs on {ctx.engine}: there a job "
            "starts others itself, with ctx.invoke"
        )
    return await current_flows().children(ctx.queue, ctx.job_id)


def children_of_sync(ctx: Context) -> ChildResults:
    """Do the same as children_of(), for a job that is an ordinary function."""
    results: ChildResults = current_flows().run_sync(lambda: children_of(ctx))
    return results


_source: Callable[[], FlowPort] | None = None


def bind_flows(source: Callable[[], FlowPort] | None) -> None:
    """Set who takes flows for this process: *source* is asked each time."""
    global _source  # noqa: PLW0603 - one application per process is the point
    _source = source


def current_flows() -> FlowPort:
    """Give who takes flows for this process' application."""
    if _source is None:
        raise RuntimeError("No application is set up; import bullq (not bullq.jobs alone) first")
    return _source()

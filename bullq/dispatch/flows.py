"""Check a tree of jobs, queue it in one step, and read what became of its children."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bullq.dispatch.ids import new_job_id
from bullq.errors import (
    ActionRefused,
    DispatchInDoubt,
    InvalidOptionError,
    SettingsError,
    StoreUnavailable,
)
from bullq.jobs.dispatching import Receipt
from bullq.jobs.flow import ChildResults, Flow, FlowPort, FlowReceipt, FlowTree
from bullq.protocol.keys import QueueKeys
from bullq.protocol.options import JobOptions, check_job_id
from bullq.protocol.record import to_json
from bullq.queues.options import job_options
from bullq.store.adding import JobKind, NewJob
from bullq.store.flows import FlowScript, NewNode

if TYPE_CHECKING:
    from bullq.jobs.definition import JobDefinition
    from bullq.queues.queue import JobQueue

ResultT = TypeVar("ResultT")

MOST_JOBS = 1_000
"""Jobs in one flow: it is added in one step, which holds Redis for 60 to 170 us each."""

CHILDREN_FIELD = "bullq:children"
"""The field of a parent's hash that names its children: when it runs, they may be gone."""

_FLAGS = {
    "fail": "failParentOnFailure",
    "continue": "continueParentOnFailure",
    "ignore": "ignoreDependencyOnFailure",
    "remove": "removeDependencyOnFailure",
}
_REFUSALS = {
    "is-parent": "exists already, and can get no further children",
    "has-parent": "exists already, and another job waits for it",
    "failed": "exists already and has failed, so that its parent would wait for ever; "
    "retry or remove it first",
}

MakeReceipt = Callable[["JobDefinition[Any, Any]", str], Receipt[Any]]


@dataclass(slots=True)
class Planned:
    """A job of the tree with its id, its queue, and its children once they are known."""

    flow: FlowTree
    id: str
    queue: JobQueue
    parent: Planned | None
    children: list[Planned]

    @property
    def key(self) -> str:
        """The key of the job's hash."""
        return self.queue.keys.job(self.id)


class BullmqFlows(FlowPort):
    """Adds flows to BullMQ queues; *live_queue* gives a queue on the running event loop."""

    def __init__(
        self,
        live_queue: Callable[[str], JobQueue],
        make_receipt: MakeReceipt,
        run_sync: Callable[[Callable[[], Any]], Any],
        *,
        use_bullmq: bool = True,
    ) -> None:
        self._live_queue = live_queue
        self._make_receipt = make_receipt
        self._run_sync = run_sync
        self._use_bullmq = use_bullmq

    async def dispatch(self, flow: Flow[Any, ResultT]) -> FlowReceipt[ResultT]:
        """Queue a tree of jobs."""
        if not self._use_bullmq:
            raise SettingsError("Flows need BullMQ, and USE_BULLMQ is off; set USE_BULLMQ=true")
        root = self._plan(flow, None)
        planned = list(_by_levels(root))
        _check_tree(planned)
        nodes = self._nodes(planned)
        store = root.queue.store
        try:
            with store.errors():
                script = FlowScript(root.queue.scripts())
                code, against, reason = await script.add_flow(nodes)
        except StoreUnavailable as error:
            if not error.in_doubt:
                raise
            raise DispatchInDoubt(
                f"{error} The flow with the root {root.id} was sent and may be queued, all of it "
                f"or nothing; look with 'bullq jobs show {root.id}'.",
                root.id,
            ) from error
        if code < 0 and against is not None:
            raise ActionRefused(
                f"The flow was not queued: the job {against.id!r} of the queue "
                f"{against.keys.queue!r} {_REFUSALS[reason]}"
            )
        if code > 0:
            await self._take_ids(planned)
        for queue in {one.queue.spec.name: one.queue for one in planned}.values():
            with contextlib.suppress(StoreUnavailable):  # the flow is queued, and that counts
                await queue.introduce()
        return self._receipts(root)

    async def children(self, queue: str, job_id: str) -> ChildResults:
        """Give what has become of a job's children."""
        live = self._live_queue(queue)
        key = live.keys.job(job_id)
        with live.store.errors():
            pipeline = live.store.client().pipeline(transaction=True)
            pipeline.hget(key, CHILDREN_FIELD)
            pipeline.hgetall(f"{key}:processed")
            pipeline.hgetall(f"{key}:failed")
            named, values, failures = await pipeline.execute()
        names = (
            await self._names(live, sorted({*values, *failures}))
            if named is None
            else _read_names(named, live.keys.prefix)
        )
        return ChildResults(values, names, failures)

    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run a coroutine on a loop in the background, and wait for it."""
        return self._run_sync(call)

    async def _take_ids(self, planned: list[Planned]) -> None:
        """Give the jobs of a flow that was queued before the ids that they have."""
        for parent in (one for one in planned if one.children):
            with parent.queue.store.errors():
                client = parent.queue.store.client()
                named = await client.hget(parent.key, CHILDREN_FIELD)
            ids = {(queue, name): deque(known) for queue, name, known in json.loads(named or "[]")}
            for child in parent.children:
                if known := ids.get((child.flow.job.queue, child.flow.job.name)):
                    child.id = known.popleft()

    async def _names(self, live: JobQueue, keys: list[str]) -> dict[tuple[str, str], list[str]]:
        """Find the names of children that another client has added, in their records."""
        with live.store.errors():
            pipeline = live.store.client().pipeline(transaction=False)
            for key in keys:
                pipeline.hget(key, "name")
            found = await pipeline.execute() if keys else []
        names: dict[tuple[str, str], list[str]] = defaultdict(list)
        for key, name in zip(keys, found, strict=True):
            if name is not None:
                names[key.rsplit(":", 2)[1], name].append(key)
        return names

    def _plan(self, flow: FlowTree, parent: Planned | None) -> Planned:
        job_id = new_job_id() if flow.options.id is None else flow.options.id
        planned = Planned(flow, job_id, self._live_queue(flow.job.queue), parent, [])
        planned.children = [self._plan(child, planned) for child in flow.children]
        return planned

    def _nodes(self, planned: list[Planned]) -> list[NewNode]:
        """Give the jobs of a tree as they are sent."""
        return [_node(one) for one in planned]

    def _receipts(self, planned: Planned) -> FlowReceipt[Any]:
        return FlowReceipt(
            self._make_receipt(planned.flow.job, planned.id),
            tuple(self._receipts(child) for child in planned.children),
        )


def _by_levels(root: Planned) -> Iterator[Planned]:
    """Walk a tree as Node adds it: all parents before their children."""
    waiting = deque([root])
    while waiting:
        planned = waiting.popleft()
        yield planned
        waiting.extend(planned.children)


def _check_tree(planned: list[Planned]) -> None:
    if len(planned) > MOST_JOBS:
        raise InvalidOptionError(
            f"A flow has at most {MOST_JOBS:,} jobs, as it is added in one step; this one has "
            f"{len(planned):,}: give each child more work, or dispatch more from the jobs"
        )
    seen: set[str] = set()
    for one in planned:
        if one.key in seen:
            raise InvalidOptionError(
                f"The job {one.id!r} is twice in the flow; a job has one parent"
            )
        seen.add(one.key)


def _node(planned: Planned) -> NewNode:
    flow, keys = planned.flow, planned.queue.keys
    try:
        options: dict[str, Any] = {**job_options(flow.job, planned.queue.spec, flow.options)}
    except ValueError as error:
        raise InvalidOptionError(f"{flow.job.queue}/{flow.job.name}: {error}") from error
    if planned.parent is not None:
        base = planned.parent.queue.keys.base
        options["parent"] = {"id": planned.parent.id, "queue": base.removesuffix(":")}
        if flag := _FLAGS.get(flow.on_failure):
            options[flag] = True
    kind = JobKind(flow.job.name, cast("JobOptions", options))
    job = NewJob(kind, check_job_id(planned.id), flow.job.payload.write(flow.data))
    return NewNode(job, keys, planned.parent.key if planned.parent else "", _children(planned))


def _children(planned: Planned) -> str:
    """Name the children by what they are, as JSON; empty where there are none."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for child in planned.children:
        names[child.flow.job.queue, child.flow.job.name].append(child.id)
    return to_json([[*place, ids] for place, ids in names.items()]) if names else ""


def _read_names(text: str, prefix: str) -> dict[tuple[str, str], list[str]]:
    """Give the keys of the children that _children() has named."""
    return {
        (queue, name): [QueueKeys(prefix, queue).job(job_id) for job_id in ids]
        for queue, name, ids in json.loads(text)
    }

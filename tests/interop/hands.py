"""Whoever puts jobs on queues and does what people do to them: Node, or bullq."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any, cast

from bullq import Bullq, JobState
from bullq.protocol.options import JobOptions
from bullq.protocol.record import to_json
from bullq.queues.control import FinalState
from bullq.queues.schedules import Schedule, ensure_schedule, remove_schedule
from bullq.store.adding import JobKind, NewJob
from tests.interop.branch import Branch
from tests.interop.node_side import NodeSide


class Hand(ABC):
    """What both can do, under the same names; times in ms, ids given by the caller."""

    def __init__(self, app: Bullq) -> None:
        self._app = app

    async def put(self, queue: str, job: str, fields: dict[str, str]) -> None:
        """Set fields of a job's hash, as an earlier worker left them."""
        live = self._app.queue(queue)
        await live.store.client().hset(live.keys.job(job), mapping=fields)

    @abstractmethod
    async def add(self, queue: str, data: Any, **options: Any) -> None: ...
    @abstractmethod
    async def flow(self, branch: Branch) -> None: ...
    @abstractmethod
    async def schedule(
        self, queue: str, name: str, repeat: dict[str, Any], data: Any, options: dict[str, Any]
    ) -> None: ...
    @abstractmethod
    async def unschedule(self, queue: str, name: str) -> None: ...
    @abstractmethod
    async def queue(self, queue: str, what: str, *args: Any) -> None:
        """Do something to a whole queue."""

    @abstractmethod
    async def job(self, queue: str, id: str, what: str, *args: Any) -> None:  # noqa: A002
        """Do something to a job."""


class NodeHand(Hand):
    """BullMQ's own client."""

    def __init__(self, app: Bullq, node: NodeSide) -> None:
        super().__init__(app)
        self._node = node

    async def add(self, queue: str, data: Any, **options: Any) -> None:
        await self._node.add(queue, data, **options)

    async def flow(self, branch: Branch) -> None:
        await self._node.flow(branch.for_node())

    async def schedule(
        self, queue: str, name: str, repeat: dict[str, Any], data: Any, options: dict[str, Any]
    ) -> None:
        template = {"name": "play", "data": data, "opts": options}
        await self._node.queue(queue, "upsertJobScheduler", name, repeat, template)

    async def unschedule(self, queue: str, name: str) -> None:
        await self._node.queue(queue, "removeJobScheduler", name)

    async def queue(self, queue: str, what: str, *args: Any) -> None:
        method, arguments = _IN_NODE.get(what, (what, lambda *given: given))
        await self._node.queue(queue, method, *arguments(*args))

    async def job(self, queue: str, id: str, what: str, *args: Any) -> None:  # noqa: A002
        method, arguments = _IN_NODE.get(what, (what, lambda *given: given))
        await self._node.job(queue, id, method, *arguments(*args))


_IN_NODE: dict[str, Any] = {
    "retry_all": ("retryJobs", lambda state: ({"state": state},)),
    "promote_all": ("promoteJobs", lambda: ()),
    "set_concurrency": ("setGlobalConcurrency", lambda limit: (limit,)),
    "remove_concurrency": ("removeGlobalConcurrency", lambda: ()),
    "set_rate_limit": ("setGlobalRateLimit", lambda limit, ms: (limit, ms)),
    "remove_rate_limit": ("removeGlobalRateLimit", lambda: ()),
    "hold_back": ("rateLimit", lambda ms: (ms,)),
    "clean": ("clean", lambda state, limit: (0, limit, state)),
    "drain_delayed": ("drain", lambda: (True,)),
    "forget_deduplication": ("removeDeduplicationKey", lambda id_: (id_,)),
    "change_delay": ("changeDelay", lambda ms: (ms,)),
    "change_priority": ("changePriority", lambda priority: ({"priority": priority},)),
    "change_priority_lifo": (
        "changePriority",
        lambda priority: ({"priority": priority, "lifo": True},),
    ),
    "update_data": ("updateData", lambda data: (data,)),
    "update_progress": ("updateProgress", lambda progress: (progress,)),
    "clear_logs": ("clearLogs", lambda keep: (keep,)),
    "remove_alone": ("remove", lambda: ({"removeChildren": False},)),
    "leave_parent": ("removeChildDependency", lambda: ()),
}


class BullqHand(Hand):
    """bullq's own queues."""

    async def add(self, queue: str, data: Any, **options: Any) -> None:
        job_id = options.pop("jobId")
        kind = JobKind("play", cast("JobOptions", options))
        await self._app.queue(queue).add(NewJob(kind, job_id, to_json(data)))

    async def flow(self, branch: Branch) -> None:
        await self._app.flows.dispatch(branch.for_bullq())

    async def schedule(
        self, queue: str, name: str, repeat: dict[str, Any], data: Any, options: dict[str, Any]
    ) -> None:
        schedule = Schedule(
            id=name,
            cron=repeat.get("pattern"),
            every_ms=repeat.get("every"),
            tz=repeat.get("tz", "UTC"),
            start=_moment(repeat.get("startDate")),
            end=_moment(repeat.get("endDate")),
            limit=repeat.get("limit"),
        )
        given = cast("JobOptions", options)
        await ensure_schedule(self._app.queue(queue), schedule, "play", data, given)

    async def unschedule(self, queue: str, name: str) -> None:
        await remove_schedule(self._app.queue(queue), name)

    async def queue(self, queue: str, what: str, *args: Any) -> None:
        control = self._app.queue(queue).control
        force = {"force": True}  # the older client is there on purpose
        match what, args:
            case (("pause" | "resume"), ()):
                await getattr(control, what)(**force)
            case "retry_all", (state,):
                await control.retry_all(cast("FinalState", JobState(state)))
            case "set_rate_limit", (limit, ms):
                await control.set_rate_limit(limit, per=ms / 1000)
            case "remove_rate_limit", ():
                await control.set_rate_limit(None)
            case "remove_concurrency", ():
                await control.set_concurrency(None)
            case "hold_back", (ms,):
                await control.hold_back(ms / 1000)
            case "clean", (state, limit):
                await control.clean(JobState(state), limit=limit or None)
            case "drain_delayed", ():
                await control.drain(delayed=True)
            case "forget_deduplication", (id_,):
                await self._app.queue(queue).jobs.forget_deduplication(id_)
            case _:
                await getattr(control, what)(*args)

    async def job(self, queue: str, id: str, what: str, *args: Any) -> None:  # noqa: A002
        jobs = self._app.queue(queue).jobs
        match what, args:
            case "change_delay", (ms,):
                await jobs.change_delay(id, ms / 1000)
            case "change_priority_lifo", (priority,):
                await jobs.change_priority(id, priority, lifo=True)
            case "clear_logs", (keep,):
                await jobs.clear_logs(id, keep=keep)
            case "retry", (state,):
                await jobs.retry(id, cast("FinalState", JobState(state)))
            case "remove_alone", ():
                await jobs.remove(id, with_children=False)
            case "log", (row,):
                await jobs.add_log(id, row)
            case _:
                await getattr(jobs, what)(id, *args)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)

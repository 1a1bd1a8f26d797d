"""Read a queue: its jobs by state, counts, logs, children, workers, metrics, clients' settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bullq.protocol.record import JobRecord
from bullq.protocol.states import LISTED_STATES, JobState
from bullq.queues.versions import SharedWith, look_at_clients
from bullq.store.lua import official

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store


@dataclass(frozen=True, slots=True)
class Metrics:
    """How many jobs of a queue completed, or failed.

    *points* is one number per minute, the newest first; the minute that has not ended is none of
    them. *count* is all since metrics are collected.
    """

    count: int
    points: list[int]


@dataclass(frozen=True, slots=True)
class Children:
    """The children of a job by their keys (`prefix:queue:id`).

    *values* are results of those that completed, *pending* those the job waits for, *failed*
    those whose failure fails it, *ignored* the reasons of failures that do not.
    """

    values: dict[str, Any]
    pending: list[str]
    failed: list[str]
    ignored: dict[str, str]

    @property
    def total(self) -> int:
        """How many there are, but for those whose failure took them away."""
        return len(self.values) + len(self.pending) + len(self.failed) + len(self.ignored)


class QueueView:
    """Reads one queue and changes nothing. Raises StoreUnavailable where Redis is away."""

    def __init__(self, store: Store, keys: QueueKeys) -> None:
        self._store = store
        self._keys = keys

    async def counts(self) -> dict[JobState, int]:
        """Count the jobs in each state, in one moment."""
        counts = await self._run(
            "getCounts-1", [self._keys.base], *(state.key for state in LISTED_STATES)
        )
        return {state: int(count or 0) for state, count in zip(LISTED_STATES, counts, strict=True)}

    async def counts_per_priority(self, priorities: Sequence[int]) -> dict[int, int]:
        """Count the waiting jobs of each of these priorities; 0 is those that have none."""
        keys = [self._keys.key("wait"), self._keys.key("prioritized")]
        counts = await self._run("getCountsPerPriority-2", keys, *priorities)
        return {priority: int(count) for priority, count in zip(priorities, counts, strict=True)}

    async def job(self, job_id: str) -> JobRecord | None:
        """Give a job, None where there is none of that id."""
        with self._store.errors():
            fields = await self._store.client().hgetall(self._keys.job(job_id))
        return JobRecord(job_id, fields) if "name" in fields else None

    async def state(self, job_id: str) -> JobState:
        """Tell the state a job is in; UNKNOWN where there is no such job."""
        names = "completed failed delayed active wait paused waiting-children prioritized"
        keys = [self._keys.key(name) for name in names.split()]
        return JobState(await self._run("getStateV2-8", keys, job_id))

    async def jobs(
        self, state: JobState, start: int = 0, stop: int = 99, *, newest_first: bool | None = None
    ) -> list[JobRecord]:
        """Give the jobs of a state in the places *start* to *stop*, both included; -1 is the last.

        The oldest come first (the next due one, the highest priority), of jobs that ended the
        newest, unless *newest_first* says otherwise.
        """
        backwards = state.is_final if newest_first is None else newest_first
        with self._store.errors():
            client, key = self._store.client(), self._keys.key(state.key)
            if not state.is_list:
                ids = await client.zrange(key, start, stop, desc=backwards)
            elif backwards:
                ids = await client.lrange(key, start, stop)
            else:  # the list's end is its oldest job
                ids = reversed(await client.lrange(key, -stop - 1, -start - 1))
            pipeline = client.pipeline(transaction=False)
            wanted = list(ids)
            for job_id in wanted:
                pipeline.hgetall(self._keys.job(job_id))
            found = await pipeline.execute()
        records = [JobRecord(id_, fields) for id_, fields in zip(wanted, found, strict=True)]
        return [record for record in records if record.exists]

    async def logs(self, job_id: str, start: int = 0, stop: int = -1) -> list[str]:
        """Give the rows of a job's log in the places *start* to *stop*, the oldest first."""
        with self._store.errors():
            return list(await self._store.client().lrange(self._keys.logs(job_id), start, stop))

    async def children(self, job_id: str) -> Children:
        """Give the children of a job, by what has become of them."""
        key = self._keys.job(job_id)
        with self._store.errors():
            pipeline = self._store.client().pipeline(transaction=True)
            pipeline.hgetall(f"{key}:processed")
            pipeline.smembers(f"{key}:dependencies")
            pipeline.zrange(f"{key}:unsuccessful", 0, -1)
            pipeline.hgetall(f"{key}:failed")
            processed, pending, failed, ignored = await pipeline.execute()
        values = {child: json.loads(text) for child, text in processed.items()}
        return Children(values, sorted(pending), list(failed), dict(ignored))

    async def metrics(
        self, kind: Literal[JobState.COMPLETED, JobState.FAILED], start: int = 0, stop: int = -1
    ) -> Metrics:
        """Give how many jobs completed or failed, where workers collect metrics."""
        key = self._keys.key(f"metrics:{kind.value}")
        (count, *_), points, _ = await self._run("getMetrics-2", [key, f"{key}:data"], start, stop)
        return Metrics(int(count or 0), [int(point or 0) for point in points])

    async def workers(self) -> list[str]:
        """Name the workers that listen to the queue now, in Node and in Python."""
        mark, plain = self._keys.worker_client_name(""), self._keys.client_name()
        with self._store.errors():
            names = [str(one["name"]) for one in await self._store.client().client_list()]
        return sorted(
            name.removeprefix(mark) or "unnamed" if name.startswith(mark) else "unnamed"
            for name in names
            if name.startswith(mark) or name == plain
        )

    async def settings(self) -> dict[str, str]:
        """Give what clients have set for the queue: concurrency, max, duration, paused, version."""
        with self._store.errors():
            return dict(await self._store.client().hgetall(self._keys.key("meta")))

    async def clients(self) -> SharedWith:
        """Tell which version of which client shares the queue."""
        return await look_at_clients(self._store, self._keys)

    async def deduplicated_by(self, deduplication_id: str) -> str | None:
        """Give the id of the job that stands for all with this deduplication id, or None."""
        with self._store.errors():
            found = await self._store.client().get(self._keys.key(f"de:{deduplication_id}"))
        return None if found is None else str(found)

    async def _run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        run = self._store.pipelined().register_script(official(script))
        with self._store.errors():
            return await run(keys=keys, args=list(arguments))

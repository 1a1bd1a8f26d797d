"""Put jobs on one queue through the official client, refusing what Node would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import bullmq

from bullq.errors import DispatchInDoubt, InvalidOptionError, StoreUnavailable
from bullq.protocol.codes import explain
from bullq.protocol.keys import QueueKeys
from bullq.protocol.options import (
    JobOptions,
    check_attempts,
    check_deduplication,
    check_delay,
    check_job_id,
    check_priority,
)

if TYPE_CHECKING:
    from bullq.queues.spec import QueueSpec
    from bullq.store.connection import Store

CHUNK = 50
"""Jobs per call of a bulk add: at 20 to 80 us each they hold Redis for less than 5 ms."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be added: *data* is JSON data, *options* name its id."""

    name: str
    data: Any
    options: JobOptions


class JobQueue:
    """One queue: its spec, its keys, and the live `bullmq.Queue` on the running event loop."""

    def __init__(self, spec: QueueSpec, store: Store, prefix: str) -> None:
        self.spec = spec
        self.store = store
        self.keys = QueueKeys(prefix, spec.name)
        self.live = bullmq.Queue(spec.name, {"connection": store.client(), "prefix": prefix})
        self._introduced = False

    async def add(self, job: NewJob) -> str:
        """Add a job and give its id; with deduplication it can be another, earlier job's.

        Raises InvalidOptionError, StoreUnavailable (the job is not on the queue) and
        DispatchInDoubt (it may be: no answer came).
        """
        check_options(job.options)
        await self._introduce()
        try:
            with self.store.errors():
                added = await self.live.add(job.name, job.data, dict(job.options))
        except StoreUnavailable as error:
            raise _doubt(error, job.options["jobId"]) from error
        except TypeError as error:
            raise InvalidOptionError(str(error)) from error
        return str(added.id)

    async def add_many(self, jobs: Sequence[NewJob]) -> list[str]:
        """Add jobs in order, in chunks that keep Redis free for others, and give their ids.

        Every job's options are checked before the first is added; a refusal by Redis names
        the jobs it concerns.
        """
        for job in jobs:
            check_options(job.options)
        await self._introduce()
        ids: list[str] = []
        for start in range(0, len(jobs), CHUNK):
            ids += await self._add_chunk(jobs[start : start + CHUNK])
        return ids

    async def _add_chunk(self, chunk: Sequence[NewJob]) -> list[str]:
        bulk = [{"name": job.name, "data": job.data, "opts": dict(job.options)} for job in chunk]
        try:
            with self.store.errors():
                added = await self.live.addBulk(bulk)
        except StoreUnavailable as error:
            raise _doubt(error, chunk[0].options["jobId"]) from error
        # The official client takes a refusal, a negative number, for an id.
        refused = [
            f"{job.options['jobId']}: {explain(one.id)}"
            for job, one in zip(chunk, added, strict=True)
            if isinstance(one.id, int) and one.id < 0
        ]
        if refused:
            raise InvalidOptionError(f"Redis refused {len(refused)} jobs: {'; '.join(refused)}")
        return [str(one.id) for one in added]

    async def _introduce(self) -> None:
        """Write which library made the queue, where none has: dashboards read it."""
        if self._introduced:
            return
        with self.store.errors():
            await self.store.client().hsetnx(
                self.keys.key("meta"), "version", f"bullq:{version('bullq')}"
            )
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


def _doubt(error: StoreUnavailable, job_id: str) -> Exception:
    if not error.in_doubt:
        return error
    return DispatchInDoubt(
        f"{error} The job {job_id} was sent and may be queued; "
        f"look with 'bullq jobs show {job_id}'. Sending it again under the same id is harmless.",
        job_id,
    )

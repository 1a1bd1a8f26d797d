"""Change one job from outside: retry, promote, remove, its delay, priority, data and log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullq.clock import Duration, to_ms
from bullq.errors import ActionRefused, JobNotFound
from bullq.protocol.codes import Code, explain
from bullq.protocol.options import check_delay, check_priority
from bullq.protocol.record import JobRecord, to_json
from bullq.protocol.states import JobState
from bullq.store.managing import ManagingScripts
from bullq.store.scripts import JobScripts

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.queues.control import FinalState
    from bullq.store.connection import Store


class JobEditor:
    """What people do to single jobs of one queue, by their ids.

    Every method raises JobNotFound where there is no such job, ActionRefused where its state
    forbids it, and StoreUnavailable where Redis is away.
    """

    def __init__(self, store: Store, keys: QueueKeys) -> None:
        self._store = store
        self._keys = keys

    async def retry(
        self,
        job_id: str,
        state: FinalState = JobState.FAILED,
        *,
        reset_attempts: bool = False,
    ) -> None:
        """Have a job that failed (or completed) wait again.

        Attempts already made still count, so that the last one is the only one left, unless
        *reset_attempts* is given.
        """
        record = await self._record(job_id)
        with self._store.errors():
            answer = await self._scripts().reprocess(
                job_id,
                state.key,
                lifo=bool(record.options.get("lifo")),
                reset_made=reset_attempts,
                reset_started=reset_attempts,
            )
        self._check(job_id, answer, "retried", f"it is not {state.value}")

    async def promote(self, job_id: str) -> None:
        """Have a delayed job wait now."""
        with self._store.errors():
            answer = await self._scripts().promote(job_id)
        if answer == Code.NOT_IN_STATE:
            await self._record(job_id)  # the script does not tell a job that is not there
        self._check(job_id, answer, "promoted", "it is not delayed")

    async def remove(self, job_id: str, *, with_children: bool = True) -> None:
        """Remove a job and its children, in any state but active.

        A parent that waited for nothing but this job goes on.
        """
        await self._record(job_id)
        with self._store.errors():
            answer = await self._scripts().remove(job_id, with_children=with_children)
        if answer == 0:
            raise ActionRefused(
                f"Job {job_id} of the queue {self._keys.queue!r} cannot be removed: a worker "
                "runs it, or a child of it"
            )
        self._check(job_id, answer, "removed", "")

    async def change_delay(self, job_id: str, delay: Duration) -> None:
        """Have a delayed job be due *delay* (seconds or timedelta) from now."""
        delay_ms = check_delay(to_ms(delay))
        with self._store.errors():
            seconds, microseconds = await self._store.client().time()
            now_ms = int(seconds) * 1000 + int(microseconds) // 1000
            answer = await self._scripts().change_delay(job_id, delay_ms, now_ms)
        self._check(job_id, answer, "delayed anew", "it is not delayed")

    async def change_priority(self, job_id: str, priority: int, *, lifo: bool = False) -> None:
        """Give a job another priority, from 1 (first) to 2,097,152 (last), 0 for none.

        *lifo* puts it before the others of that priority.
        """
        check_priority(priority)
        with self._store.errors():
            answer = await self._scripts().change_priority(job_id, priority, lifo=lifo)
        self._check(job_id, answer, "given another priority", "")

    async def update_data(self, job_id: str, data: Any) -> None:
        """Replace a job's payload by *data*, which JSON can hold.

        It is not checked here: a payload that does not fit the job's type fails the job.
        Raises TypeError or ValueError where JSON cannot hold it.
        """
        text = to_json(data)
        with self._store.errors():
            answer = await self._scripts().update_data(job_id, text)
        self._check(job_id, answer, "given other data", "")

    async def update_progress(self, job_id: str, progress: Any) -> None:
        """Record how far a job is, and tell it on the event stream."""
        text = to_json(progress)
        with self._store.errors():
            answer = await self._job_scripts().update_progress(job_id, text)
        self._check(job_id, answer, "given a progress", "")

    async def add_log(self, job_id: str, row: str, *, keep: int | None = None) -> int:
        """Add a row to a job's log, keep the newest *keep* (None: all), tell how many it has."""
        with self._store.errors():
            answer = await self._job_scripts().add_log(job_id, row, keep)
        self._check(job_id, answer, "logged to", "")
        return answer

    async def clear_logs(self, job_id: str, *, keep: int = 0) -> None:
        """Remove the rows of a job's log but for the newest *keep*."""
        await self._record(job_id)
        with self._store.errors():
            client, key = self._store.client(), self._keys.logs(job_id)
            if keep:
                await client.ltrim(key, -keep, -1)
            else:
                await client.delete(key)

    async def leave_parent(self, job_id: str) -> None:
        """Have the parent of a job no longer wait for it; it goes on if nothing else is left."""
        record = await self._record(job_id)
        parent_key = record.fields.get("parentKey")
        if not parent_key:
            raise ActionRefused(f"Job {job_id} of the queue {self._keys.queue!r} has no parent")
        with self._store.errors():
            answer = await self._scripts().remove_child_dependency(
                self._keys.job(job_id), parent_key
            )
        if answer == 1:
            raise ActionRefused(f"The parent {parent_key} does not wait for the job {job_id}")
        self._check(job_id, answer, "taken from its parent", "")

    async def forget_deduplication(self, deduplication_id: str) -> bool:
        """Let the next job with this deduplication id be added; tell whether one stood for it."""
        with self._store.errors():
            return bool(await self._store.client().delete(self._keys.key(f"de:{deduplication_id}")))

    async def _record(self, job_id: str) -> JobRecord:
        with self._store.errors():
            fields = await self._store.client().hgetall(self._keys.job(job_id))
        if "name" not in fields:
            raise self._not_found(job_id)
        return JobRecord(job_id, fields)

    def _check(self, job_id: str, answer: int, what: str, wrong_state: str) -> None:
        if answer >= 0:
            return
        if answer == Code.JOB_NOT_EXIST:
            raise self._not_found(job_id)
        why = wrong_state if answer == Code.NOT_IN_STATE else explain(answer)
        raise ActionRefused(
            f"Job {job_id} of the queue {self._keys.queue!r} cannot be {what}: {why}"
        )

    def _not_found(self, job_id: str) -> JobNotFound:
        return JobNotFound(
            f"No job has the id {job_id!r} on the queue {self._keys.queue!r}; it was never "
            "queued there, or its record was removed after it ended"
        )

    def _scripts(self) -> ManagingScripts:
        return ManagingScripts(self._store.pipelined(), self._keys)

    def _job_scripts(self) -> JobScripts:
        return JobScripts(self._store.pipelined(), self._keys)

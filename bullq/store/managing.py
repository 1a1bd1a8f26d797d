"""BullMQ's own scripts for what people do to queues and jobs, each as one typed function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullq.store.lua import official

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.pipelined import Scripting

_EVER = "1.7976931348623157e+308"  # as a score: later than every job


class ManagingScripts:
    """The scripts that change one queue from outside of its workers.

    Negative answers are BullMQ's refusals (bullq.protocol.codes). Each script may be sent again:
    the second time it finds nothing left to do.
    """

    def __init__(self, client: Scripting, keys: QueueKeys) -> None:
        self._client = client
        self._keys = keys

    async def pause(self) -> None:
        """Have workers claim no more jobs (pause-7)."""
        await self._run("pause-7", "wait paused meta prioritized events delayed marker", "paused")

    async def resume(self, *, tell: bool) -> int:
        """Let workers claim jobs again (pause-7); *tell* it on the event stream.

        Moves up to 7,000 jobs out of the list in which older clients keep what is paused; gives
        how many are left there.
        """
        keys = "paused wait meta prioritized events delayed marker"
        return int(await self._run("pause-7", keys, "resumed", "1" if tell else "0") or 0)

    async def drain(self, *, delayed: bool) -> None:
        """Remove all jobs that wait, and those that are delayed, too, where asked (drain-5)."""
        keys = "wait paused delayed prioritized repeat"
        await self._run("drain-5", keys, self._keys.base, "1" if delayed else "0")

    async def clean(self, where: str, until_ms: int, limit: int) -> list[str]:
        """Remove jobs no younger than *until_ms* from the key *where*; give their ids.

        cleanJobsInSet-3; *limit* is how many at most.
        """
        keys = f"{where} events repeat"
        ids = await self._run("cleanJobsInSet-3", keys, self._keys.base, until_ms, limit, where)
        return [str(job_id) for job_id in ids]

    async def obliterate(self, count: int, *, force: bool) -> int:
        """Remove *count* jobs, and in the end the queue itself (obliterate-2).

        Gives 1 while something is left, 0 at the end, -1 for a queue that is not paused, -2 for
        one with active jobs, unless *force* is given.
        """
        return int(await self._run("obliterate-2", "meta ", count, "force" if force else ""))

    async def move_jobs_to_wait(self, state: str, count: int, until_ms: int | None) -> int:
        """Have jobs that completed, failed or are delayed wait again (moveJobsToWait-8).

        At most *count*, and of those that ended only what did by *until_ms*. Gives 1 where
        there may be more.
        """
        return int(
            await self._run(
                "moveJobsToWait-8",
                f" events {state} wait paused meta active marker",
                *(count, _EVER if until_ms is None else until_ms, state),
            )
        )

    async def reprocess(
        self, job_id: str, state: str, *, lifo: bool, reset_made: bool, reset_started: bool
    ) -> int:
        """Have one job that completed or failed wait again (reprocessJob-9)."""
        return int(
            await self._run(
                "reprocessJob-9",
                f"{job_id} events {state} wait meta active marker prioritized pc",
                *(job_id, "RPUSH" if lifo else "LPUSH"),
                *("failedReason" if state == "failed" else "returnvalue", state),
                *("1" if reset_made else "0", "1" if reset_started else "0"),
            )
        )

    async def promote(self, job_id: str) -> int:
        """Have a delayed job wait (promote-9)."""
        keys = "delayed wait paused meta prioritized active pc events marker"
        return int(await self._run("promote-9", keys, self._keys.base, job_id))

    async def change_delay(self, job_id: str, delay_ms: int, now_ms: int) -> int:
        """Have a delayed job be due *delay_ms* after *now_ms* (changeDelay-4)."""
        arguments = (delay_ms, now_ms, job_id, self._keys.job(job_id))
        return int(await self._run("changeDelay-4", "delayed meta marker events", *arguments))

    async def change_priority(self, job_id: str, priority: int, *, lifo: bool) -> int:
        """Give a job another priority, and its place by it where it waits (changePriority-7)."""
        keys = "wait paused meta prioritized active pc marker"
        arguments = (priority, self._keys.base, job_id, 1 if lifo else 0)
        return int(await self._run("changePriority-7", keys, *arguments))

    async def update_data(self, job_id: str, data: str) -> int:
        """Replace a job's payload by *data*, JSON text (updateData-1)."""
        return int(await self._run("updateData-1", job_id, data))

    async def remove(self, job_id: str, *, with_children: bool) -> int:
        """Remove a job in any state but active (removeJob-2); 1 done, 0 it is locked."""
        arguments = (job_id, 1 if with_children else 0, self._keys.base)
        return int(await self._run("removeJob-2", f"{job_id} repeat", *arguments))

    async def remove_child_dependency(self, job_key: str, parent_key: str) -> int:
        """Have a parent no longer wait for a child (removeChildDependency-1).

        Gives 0 when done, 1 where the two are no parent and child.
        """
        return int(await self._run("removeChildDependency-1", "", job_key, parent_key))

    async def rate_limit_ttl(self, max_jobs: int) -> int:
        """Give the ms for which *max_jobs* (0: the queue's own limit) is used up.

        getRateLimitTtl-2; 0 or less where it is not.
        """
        return int(await self._run("getRateLimitTtl-2", "limiter meta", max_jobs))

    async def _run(self, script: str, names: str, *arguments: Any) -> Any:
        """Run an official script on keys by their names; an empty name is the queue's base."""
        run = self._client.register_script(official(script))
        return await run(
            keys=[self._keys.key(name) for name in names.split(" ")], args=list(arguments)
        )

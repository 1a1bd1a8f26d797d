"""Run a whole queue: pause, resume, limit, retry, clean, drain, obliterate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bullq.clock import Duration, to_ms
from bullq.errors import ActionRefused, InvalidOptionError
from bullq.protocol.arbitration import ARBITRATION_KEYS, ROUTED_KEY
from bullq.protocol.states import JobState
from bullq.queues.rescue import rescue_lost
from bullq.queues.versions import look_at_clients
from bullq.store.managing import ManagingScripts

if TYPE_CHECKING:
    from datetime import datetime

    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store

CHUNK = 200
"""Jobs per call, at about 20 us each: others wait less than 5 ms for Redis."""

_WINDOW = 10_000  # jobs that are looked through at once where their order is not that of their age
_EXHAUSTED = 2**53 - 1  # more starts than any limit allows

FinalState = Literal[JobState.COMPLETED, JobState.FAILED]


@dataclass(frozen=True, slots=True)
class GlobalLimit:
    """At most *max* jobs of a queue begin in any *per_ms* milliseconds, in all its workers."""

    max: int
    per_ms: int


class QueueControl:
    """What people do to one queue as a whole. Raises StoreUnavailable where Redis is away."""

    def __init__(self, store: Store, keys: QueueKeys) -> None:
        self._store = store
        self._keys = keys

    async def pause(self, *, force: bool = False) -> None:
        """Have all workers, Node's too, claim no more jobs; running ones go on.

        Raises ActionRefused where a BullMQ 5 client shares the queue, unless *force* is given:
        when that client resumes the queue, jobs get lost.
        """
        await self._refuse_with_old_clients("paused", force=force)
        with self._store.errors():
            await self._scripts().pause()

    async def resume(self, *, force: bool = False) -> None:
        """Let workers claim jobs again; brings back all that an older client has paused.

        Raises ActionRefused where a BullMQ 5 client shares the queue, unless *force* is given.
        """
        await self._refuse_with_old_clients("resumed", force=force)
        with self._store.errors():
            scripts = self._scripts()
            left = await scripts.resume(tell=True)
            while left:
                left = await scripts.resume(tell=False)

    async def is_paused(self) -> bool:
        """Tell whether the queue is paused."""
        with self._store.errors():
            return bool(await self._store.client().hexists(self._keys.key("meta"), "paused"))

    async def drain(self, *, delayed: bool = False) -> None:
        """Remove every job that waits, and with *delayed* those that wait for their time, too.

        Jobs of schedules, active ones and those that ended stay.
        """
        with self._store.errors():
            await self._scripts().drain(delayed=delayed)

    async def clean(
        self,
        state: JobState = JobState.COMPLETED,
        *,
        older_than: Duration = 0,
        limit: int | None = None,
    ) -> list[str]:
        """Remove jobs of a state that ended, or were added, at least *older_than* ago.

        *older_than* is seconds or a timedelta; *limit* how many at most, None for all. The next
        runs of schedules stay, as do active jobs that a worker holds. Gives the ids.
        """
        if state in (JobState.UNKNOWN, JobState.WAITING_CHILDREN):
            raise InvalidOptionError(
                f"Jobs that are {state.value!r} cannot be cleaned: remove them one by one"
            )
        if limit is not None and limit < 1:
            raise InvalidOptionError(f"clean: limit is 1 or more, not {limit}; None removes all")
        until_ms = await self._server_ms() - to_ms(older_than)
        chunk = CHUNK if state.is_final else _WINDOW
        removed: list[str] = []
        with self._store.errors():
            while limit is None or len(removed) < limit:
                count = chunk if limit is None else min(chunk, limit - len(removed))
                ids = await self._scripts().clean(state.key, until_ms, count)
                removed += ids
                if len(ids) < count:
                    break
        return removed

    async def obliterate(self, *, force: bool = False) -> None:
        """Remove the queue with all it holds: jobs, schedules, events, settings.

        So goes what is known of jobs that left it: those whose event Inngest has not accepted yet
        will not run. Results of `ctx.once` stay for as long as they are kept. Raises ActionRefused
        while jobs are active, unless *force* is given, and leaves the queue as it was.
        """
        with self._store.errors():
            active = await self._store.client().llen(self._keys.key("active"))
            if active and not force:
                raise ActionRefused(
                    f"The queue {self._keys.queue!r} has {active} active jobs; wait until they "
                    "have ended, or force it: their workers then cannot record how they end"
                )
            scripts = self._scripts()
            await scripts.pause()
            while (answer := await scripts.obliterate(CHUNK, force=force)) > 0:
                pass
        if answer < 0:
            raise ActionRefused(
                f"The queue {self._keys.queue!r} was resumed, or got active jobs, while it was "
                "obliterated; what is left of it is paused: try again"
            )
        with self._store.errors():
            await self._forget_arbitration()

    async def _forget_arbitration(self) -> None:
        """Remove the keys that no script of BullMQ removes."""
        client, keys = self._store.client(), self._keys
        while ids := await client.zrange(keys.key(ROUTED_KEY), 0, CHUNK - 1):
            names = [keys.job(job_id) for job_id in ids]
            await client.unlink(
                *(f"{name}:signals{end}" for name in names for end in ("", "-taken"))
            )
            await client.zrem(keys.key(ROUTED_KEY), *ids)
        # The limiter's would go by itself, once a rate limit or a hold-back is over.
        await client.unlink(*(keys.key(name) for name in (*ARBITRATION_KEYS, "limiter")))

    async def retry_all(
        self, state: FinalState = JobState.FAILED, *, until: datetime | None = None
    ) -> int:
        """Have all jobs that failed (or completed) wait again; tell how many.

        With *until*, only those that ended by then. Attempts already made still count. BullMQ's
        script for many has them wait without their priority.
        """
        until_ms = await self._server_ms()
        if until is not None:
            if until.tzinfo is None:
                raise InvalidOptionError("retry_all: until needs a time zone")
            until_ms = min(until_ms, round(until.timestamp() * 1000))
        return await self._move(state, until_ms)

    async def promote_all(self) -> int:
        """Have all delayed jobs wait now; tell how many."""
        return await self._move(JobState.DELAYED, None)

    async def rescue(self) -> list[str]:
        """Have jobs wait again that no list knows of any more; give their ids.

        A client of BullMQ 5 that pauses or resumes the queue leaves such jobs behind.
        """
        return await rescue_lost(self._store, self._keys)

    async def concurrency(self) -> int | None:
        """Tell how many jobs all workers together may run at once; None: no bound."""
        with self._store.errors():
            value = await self._store.client().hget(self._keys.key("meta"), "concurrency")
        return int(value) if value else None

    async def set_concurrency(self, limit: int | None) -> None:
        """Bound how many jobs all workers together run at once; None takes the bound away."""
        if limit is not None and limit < 1:
            raise InvalidOptionError(f"A queue's concurrency is 1 or more, not {limit}")
        await self._set_meta({"concurrency": limit})

    async def rate_limit(self) -> GlobalLimit | None:
        """Give the limit for all workers together, or None."""
        with self._store.errors():
            found = await self._store.client().hmget(self._keys.key("meta"), "max", "duration")
        return GlobalLimit(int(found[0]), int(found[1])) if all(found) else None

    async def set_rate_limit(self, max_jobs: int | None, per: Duration = 1) -> None:
        """Let at most *max_jobs* begin in any *per* (seconds or timedelta); None: no limit."""
        if max_jobs is None:
            await self._set_meta({"max": None, "duration": None})
            return
        if max_jobs < 1 or to_ms(per) < 1:
            raise InvalidOptionError(
                f"A rate limit lets at least 1 job begin per 1 ms, not {max_jobs} per {per}"
            )
        await self._set_meta({"max": max_jobs, "duration": to_ms(per)})

    async def hold_back(self, duration: Duration) -> None:
        """Use the rate limit up for *duration*: no job begins until then (Node's rateLimit).

        It takes a limit, the queue's or its workers' own, to be used up.
        """
        with self._store.errors():
            await self._store.client().set(
                self._keys.key("limiter"), _EXHAUSTED, px=max(1, to_ms(duration))
            )

    async def held_back_for(self, max_jobs: int | None = None) -> int:
        """Give the ms until the rate limit lets the next job begin, 0 where it does now.

        *max_jobs* is the limit to judge by, None for the queue's own.
        """
        with self._store.errors():
            return max(0, await self._scripts().rate_limit_ttl(max_jobs or 0))

    async def let_go(self) -> bool:
        """End what hold_back began, or a limit in use; tell whether there was anything."""
        with self._store.errors():
            return bool(await self._store.client().delete(self._keys.key("limiter")))

    async def trim_events(self, count: int) -> int:
        """Keep about the newest *count* events; tell how many were removed."""
        with self._store.errors():
            return int(await self._store.client().xtrim(self._keys.key("events"), maxlen=count))

    async def _move(self, state: JobState, until_ms: int | None) -> int:
        with self._store.errors():
            until = "+inf" if until_ms is None else until_ms
            total = await self._store.client().zcount(self._keys.key(state.key), 0, until)
            for _ in range(0, total, CHUNK):
                if not await self._scripts().move_jobs_to_wait(state.key, CHUNK, until_ms):
                    break
        return int(total)

    async def _set_meta(self, fields: dict[str, int | None]) -> None:
        given = {name: value for name, value in fields.items() if value is not None}
        with self._store.errors():
            client, meta = self._store.client(), self._keys.key("meta")
            if given:
                await client.hset(meta, mapping=given)
            else:
                await client.hdel(meta, *fields)

    async def _refuse_with_old_clients(self, what: str, *, force: bool) -> None:
        if force:
            return
        shared = await look_at_clients(self._store, self._keys)
        if shared.warning:
            raise ActionRefused(f"Not {what}. {shared.warning}")

    async def _server_ms(self) -> int:
        with self._store.errors():
            seconds, microseconds = await self._store.client().time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _scripts(self) -> ManagingScripts:
        return ManagingScripts(self._store.pipelined(), self._keys)

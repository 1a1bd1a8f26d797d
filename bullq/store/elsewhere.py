"""The scripts by which jobs that another engine runs are on record beside BullMQ's own."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from bullq.store.lua import official, script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.pipelined import Scripting

KEEP_SIGNALS_MS = 30 * 24 * 3_600_000
"""How long an event is kept for a job that does not take it."""
KEEP_EFFECTS_MS = 30 * 24 * 3_600_000
"""How long the result of ctx.once is kept, as for jobs of BullMQ (lua/recordSteps-13.lua)."""

_ENDING_KEYS = ("completed", "failed", "events", "meta")


class ElsewhereScripts:
    """The scripts of one queue, and its plain keys; *client* is redis-py's."""

    def __init__(self, client: Any, scripts: Scripting, keys: QueueKeys) -> None:
        self._client = client
        self._keys = keys
        self._begin = scripts.register_script(script("beginElsewhere-1"))
        self._end = scripts.register_script(script("endElsewhere-5"))
        self._keep = scripts.register_script(script("keepSignal-2"))
        self._take = scripts.register_script(script("takeSignal-2"))
        self._log = scripts.register_script(official("addLog-2"))
        self._progress = scripts.register_script(official("updateProgress-3"))

    async def begin_elsewhere(
        self, job_id: str, *, engine: str, name: str, data: str, options: str, timestamp: int
    ) -> bool:
        """Make a job's record unless there is one; tell whether it did (beginElsewhere-1)."""
        made: Any = await self._begin(
            keys=[self._keys.job(job_id)], args=[engine, name, data, options, timestamp]
        )
        return bool(made)

    async def end_elsewhere(
        self, job_id: str, state: str, value: str, *, traces: list[str], attempts: int
    ) -> int:
        """Record how a job has ended (endElsewhere-5); a negative number is a refusal."""
        answer: Any = await self._end(
            keys=[self._keys.job(job_id), *(self._keys.key(name) for name in _ENDING_KEYS)],
            args=[job_id, state, value, json.dumps(traces), attempts],
        )
        return int(answer)

    async def cancel_elsewhere(self, job_id: str, reason: str) -> bool:
        """Record that a job was cancelled (endElsewhere-5); how it really ends replaces that.

        Gives False where it has ended before.
        """
        answer: Any = await self._end(
            keys=[self._keys.job(job_id), *(self._keys.key(name) for name in _ENDING_KEYS)],
            args=[job_id, "failed", reason, "[]", 0, "1"],
        )
        return int(answer) != 0

    async def keep_event_back(self, job_id: str) -> None:
        """Have no sweeper send the event of a routed job that was not accepted yet."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zrem(self._keys.key("bullq:rerouted"), job_id)
            pipe.hdel(self._keys.key("bullq:parcels"), job_id)
            await pipe.execute()

    async def standing(self, job_id: str) -> str:
        """Tell how a job stands: 'absent', 'bullmq', or at the other engine.

        There it is 'sent', 'active' as far as that is known, or 'ended'.
        """
        name, engine, begun, ended, cancelled = await self._client.hmget(
            self._keys.job(job_id), "name", "engine", "processedOn", "ended", "cancelled"
        )
        if name is None:
            return "absent"
        if engine is None:
            return "bullmq"
        if ended is not None or cancelled is not None:
            return "ended"
        return "sent" if begun is None else "active"

    async def add_log(self, job_id: str, row: str, keep: int | None) -> int:
        """Add a row to a job's log, keeping the last *keep* (addLog-2)."""
        count: Any = await self._log(
            keys=[self._keys.job(job_id), self._keys.logs(job_id)],
            args=[job_id, row, "" if keep is None else keep],
        )
        return int(count)

    async def add_log_once(self, job_id: str, place: str, row: str, keep: int | None) -> None:
        """Add a row to a job's log, unless it was the last one from that *place* in its body."""
        key, field = self._keys.job(job_id), f"row:{place}"
        digest = sha256(row.encode()).hexdigest()[:8]
        if await self._client.hget(key, field) == digest:
            return
        if await self.add_log(job_id, row, keep) >= 0:
            await self._client.hset(key, field, digest)

    async def update_progress(self, job_id: str, progress: str) -> int:
        """Record a job's progress and tell it on the event stream (updateProgress-3)."""
        answer: Any = await self._progress(
            keys=[self._keys.job(job_id), self._keys.key("events"), self._keys.key("meta")],
            args=[job_id, progress],
        )
        return int(answer or 0)

    async def keep_signal(self, job_id: str, event: str, payload: str) -> bool:
        """Keep an event (its payload as JSON text) for a job, whether it is there yet or not.

        Gives False, and keeps nothing, where BullMQ has the job (keepSignal-2).
        """
        text = json.dumps({"event": event, "payload": payload})
        kept: Any = await self._keep(
            keys=[self._keys.job(job_id), self._signals(job_id)], args=[text, KEEP_SIGNALS_MS]
        )
        return bool(kept)

    async def signals(self, job_ids: list[str]) -> dict[str, list[tuple[str, str]]]:
        """Give the events that are kept for jobs, the oldest first: name and payload as JSON."""
        async with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.lrange(self._signals(job_id), 0, -1)
            found = await pipe.execute()
        read = [[json.loads(text) for text in texts] for texts in found]
        return {
            job_id: [(one["event"], one["payload"]) for one in signals]
            for job_id, signals in zip(job_ids, read, strict=True)
            if signals
        }

    async def drop_signals(self, job_id: str) -> None:
        """Forget the events that are kept for a job."""
        await self._client.delete(self._signals(job_id))

    async def take_signal(self, job_id: str, event: str, step: str) -> str | None:
        """Give a step the oldest event that no other one has taken (takeSignal-2)."""
        payload: str | None = await self._take(
            keys=[self._signals(job_id), f"{self._signals(job_id)}-taken"], args=[event, step]
        )
        return payload

    async def find_effect(self, key: str) -> str | None:
        """Give the recorded result of an effect of the queue."""
        found: str | None = await self._client.get(self._effect(key))
        return found

    async def record_effect(self, key: str, result: str) -> str:
        """Record an effect's result unless there is one; give the one that counts."""
        name = self._effect(key)
        if await self._client.set(name, result, nx=True, px=KEEP_EFFECTS_MS):
            return result
        return await self.find_effect(key) or result

    def _signals(self, job_id: str) -> str:
        return f"{self._keys.job(job_id)}:signals"

    def _effect(self, key: str) -> str:
        return self._keys.key(f"once:={key}")

"""Two ways to drive a queue, for comparison: our exchange, and the official scripts one by one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import bullmq
import msgpack
import redis.asyncio
from bullmq.job import Job as OfficialJob

from bullq.protocol.keys import QueueKeys
from bullq.store.connection import Store
from bullq.store.lua import official
from bullq.store.scripts import Claim, Delay, Exchanged, Finish, Retry, Settlement, WorkerScripts

PREFIX = "differential"
DUMP = """
local rows = {}
local keys = redis.call("KEYS", ARGV[1])
table.sort(keys)
for index, key in ipairs(keys) do
  local kind = redis.call("TYPE", key).ok
  local held
  if kind == "string" then
    held = redis.call("GET", key)
  elseif kind == "hash" then
    held = redis.call("HGETALL", key)
  elseif kind == "list" then
    held = redis.call("LRANGE", key, 0, -1)
  elseif kind == "set" then
    held = redis.call("SMEMBERS", key)
    table.sort(held)
  elseif kind == "zset" then
    held = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  else
    held = {}
    for place, entry in ipairs(redis.call("XRANGE", key, "-", "+")) do
      held[place] = entry[2]
    end
  end
  rows[index] = {key, kind, redis.call("PTTL", key), held}
end
return rows
"""


@dataclass
class Side:
    """One of the two queues."""

    client: redis.asyncio.Redis
    keys: QueueKeys = field(init=False)
    live: Any = field(init=False)

    def __post_init__(self) -> None:
        self.keys = QueueKeys(PREFIX, "q")
        self.live = bullmq.Queue("q", {"connection": self.client, "prefix": PREFIX})

    async def add(self, name: str, opts: dict[str, Any], *, as_parent: bool) -> None:
        if "parent" in opts:
            opts = {**opts, "parent": {"id": opts["parent"], "queue": f"{PREFIX}:q"}}
        job = OfficialJob(self.live, name, {"n": name}, opts)
        scripts = self.live.backend.scripts
        if as_parent:
            await scripts.addParentJob(job)
            return
        with contextlib.suppress(TypeError):  # its parent has been removed meanwhile
            await scripts.addJob(job)

    async def dump(self) -> dict[str, list[Any]]:
        """Give every key of the queue: its kind, its time to live in ms and what it holds."""
        rows: Any = await self.client.register_script(DUMP)(keys=[], args=[f"{PREFIX}:*"])
        return {key: rest for key, *rest in rows}


@dataclass
class Ours(Side):
    """The queue that the exchange drives, over a connection of its own."""

    store: Store

    async def exchange(
        self, settlements: list[Settlement], tokens: list[str], claim: Claim
    ) -> tuple[list[Any], list[Any], int, int]:
        scripts = WorkerScripts(self.store.pipelined(), self.keys, claim)
        done: Exchanged = await scripts.exchange(settlements, tokens)
        jobs = [(one.record.id, one.token, dict(one.record.fields)) for one in done.claimed]
        return list(done.answers), jobs, done.limited_for_ms, done.next_delayed


class Theirs(Side):
    """The queue that the official scripts drive, one call per job."""

    async def exchange(
        self, settlements: list[Settlement], tokens: list[str], claim: Claim
    ) -> tuple[list[Any], list[Any], int, int]:
        now = str(claim.now_ms)
        answers = [await self._settle(one, now) for one in settlements]
        jobs: list[Any] = []
        for token in tokens:
            options = {
                "token": token,
                "lockDuration": claim.lock_duration_ms,
                "name": claim.worker,
                **({"limiter": claim.limiter} if claim.limiter else {}),
            }
            answer = await self._run(
                "moveToActive-11",
                ("wait active prioritized events stalled limiter delayed paused meta pc marker"),
                [self.keys.base, now, msgpack.packb(options)],
            )
            if not isinstance(answer[0], list):
                return answers, jobs, int(answer[2]), int(answer[3])
            fields = dict(zip(answer[0][::2], answer[0][1::2], strict=True))
            jobs.append((answer[1], token, fields))
        return answers, jobs, 0, 0

    async def _settle(self, one: Settlement, now: str) -> Any:
        fields = msgpack.packb([part for pair in one.fields.items() for part in pair])
        job_key = self.keys.job(one.job_id)
        if isinstance(one, Finish):
            target = "completed" if one.completed else "failed"
            options = {
                "token": one.token,
                "keepJobs": one.terms.keep,
                "attempts": one.terms.attempts,
                "maxMetricsSize": "",
                **one.terms.parent,
            }
            arguments: list[Any] = [
                *(one.job_id, now, "returnvalue" if one.completed else "failedReason", one.value),
                *(target, "", self.keys.base, msgpack.packb(options)),
            ]
            return await self._run(
                "moveToFinished-14",
                "wait active prioritized events stalled limiter delayed paused meta pc "
                f"{target} {one.job_id} metrics:{target} marker",
                [*arguments, fields] if one.fields else arguments,
            )
        if isinstance(one, Retry):
            return await self._run(
                "retryJob-11",
                f"active wait paused {one.job_id} meta events delayed prioritized pc marker "
                "stalled",
                [
                    *(self.keys.base, now, "RPUSH" if one.lifo else "LPUSH", one.job_id, one.token),
                    *([fields] if one.fields else []),
                ],
            )
        if isinstance(one, Delay):
            return await self._run(
                "moveToDelayed-11",
                f"marker active prioritized delayed {one.job_id} events meta stalled wait "
                "limiter pc",
                [
                    *(self.keys.base, now, one.job_id, one.token, str(one.delay_ms)),
                    *("1" if one.skip_attempt else "0", fields if one.fields else "", "0"),
                ],
            )
        return await self._run(
            "moveJobFromActiveToWait-9",
            "active wait stalled paused meta limiter prioritized marker events",
            [one.job_id, one.token, job_key],
        )

    async def _run(self, script: str, keys: str, arguments: list[Any]) -> Any:
        run = self.client.register_script(official(script))
        return await run(keys=[self.keys.key(name) for name in keys.split()], args=arguments)

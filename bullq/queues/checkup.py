"""Examine a queue: whether its jobs are worked off, and what keeps them from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bullq.clock import format_ms, to_ms
from bullq.errors import StoreUnavailable
from bullq.protocol.keys import due_ms_of
from bullq.protocol.record import JobRecord
from bullq.queues.inspect import worker_names
from bullq.queues.versions import look_at_clients
from bullq.telemetry.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bullq.queues.queue import JobQueue
    from bullq.queues.versions import SharedWith

_SAMPLE = 200  # jobs of a list that are looked at
_LONG_WAIT_MS = 60_000
_OVERDUE_MS = 5_000  # a worker looks to the millisecond; a busy one takes its time
_NAMED = 4  # workers and jobs that are named before the rest is counted


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a queue looked like at one moment; ages are in ms."""

    name: str
    shared: SharedWith
    workers: list[str]
    waiting: int
    oldest_ms: int
    delayed: int
    overdue_ms: int
    active: int
    unlocked: int
    paused: bool
    concurrency: str | None
    rate: tuple[str, str] | None
    held_for_ms: int
    strangers: list[str]

    @property
    def is_held(self) -> bool:
        """Whether its jobs wait because somebody wants them to."""
        return self.paused or self.held_for_ms > 0


async def examine_queue(queue: JobQueue, known: Collection[str] | None) -> list[Finding]:
    """Examine one queue; raises StoreUnavailable.

    *known* are the names of jobs that its workers can run, None where that is not ours to say.
    """
    with queue.store.errors():
        seen = await _look(queue, known)
    findings = [
        *_clients(seen),
        *_held(seen),
        *_workers(seen),
        *_overdue(seen),
        *_stalled(seen, queue),
        *_strangers(seen),
        *await _durability(queue),
    ]
    return [_summary(seen), *findings]


async def _durability(queue: JobQueue) -> list[Finding]:
    """Say what keeps the writes of a queue that is strict about it."""
    subject = f"queue {queue.spec.name}"
    try:
        keeper = await queue.check_durability()
    except StoreUnavailable as error:
        fact, _, advice = str(error).partition(". ")
        return [Finding(subject, "durability", Level.PROBLEM, fact, advice or None)]
    if keeper is None:
        return []
    told = f"durability is strict: {keeper} has each write before it is answered"
    return [Finding(subject, "durability", Level.OK, told)]


async def _look(queue: JobQueue, known: Collection[str] | None) -> _Seen:
    client, keys = queue.store.client(), queue.keys
    seconds, microseconds = await client.time()
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    meta = await client.hgetall(keys.key("meta"))
    wait = list(reversed(await client.lrange(keys.key("wait"), -_SAMPLE, -1)))
    prioritized = await client.zrange(keys.key("prioritized"), 0, _SAMPLE - 1)
    delayed = await client.zrange(keys.key("delayed"), 0, 0, withscores=True)
    active = await client.lrange(keys.key("active"), -_SAMPLE, -1)
    pipe = client.pipeline(transaction=False)
    for job_id in (*wait, *prioritized):
        pipe.hmget(keys.job(job_id), "name", "timestamp", "delay")
    described = await pipe.execute()
    for job_id in active:
        pipe.exists(f"{keys.job(job_id)}:lock")
    locks = await pipe.execute()
    firsts = [described[at] for at in ({0, len(wait)} if described else ()) if at < len(described)]
    return _Seen(
        name=queue.spec.name,
        shared=await look_at_clients(queue.store, keys),
        workers=await worker_names(queue),
        waiting=await client.llen(keys.key("wait")) + await client.zcard(keys.key("prioritized")),
        oldest_ms=max((_age_ms(first, now_ms) for first in firsts), default=0),
        delayed=await client.zcard(keys.key("delayed")),
        overdue_ms=now_ms - due_ms_of(delayed[0][1]) if delayed else 0,
        active=await client.llen(keys.key("active")),
        unlocked=sum(not lock for lock in locks),
        paused="paused" in meta,
        concurrency=meta.get("concurrency"),
        rate=(meta["max"], meta["duration"]) if {"max", "duration"} <= meta.keys() else None,
        held_for_ms=await queue.control.held_back_for(_limit(queue)),
        strangers=_unknown([name for name, _, _ in described], known),
    )


def _limit(queue: JobQueue) -> int | None:
    return queue.spec.rate_limit.max if queue.spec.rate_limit else None


def _age_ms(described: list[str | None], now_ms: int) -> int:
    """Tell for how long a job could have begun."""
    name, timestamp, delay = described
    record = JobRecord("", {"name": name or "", "timestamp": timestamp or "0"})
    try:
        since = int(record.fields["timestamp"]) + int(delay or 0)
    except ValueError:
        return 0
    return max(0, now_ms - since) if since else 0


def _unknown(names: list[str | None], known: Collection[str] | None) -> list[str]:
    if known is None:
        return []
    return sorted({name for name in names if name is not None and name not in known})


def _summary(seen: _Seen) -> Finding:
    told = [f"{seen.waiting:,} waiting", f"{seen.active:,} active", f"{seen.delayed:,} delayed"]
    told.append(f"workers: {_list(seen.workers) or 'none'}")
    if seen.shared.version:
        told.append(f"set up by {seen.shared.version}")
    if seen.concurrency:
        told.append(f"at most {seen.concurrency} at once in all workers")
    if seen.rate:
        told.append(f"at most {seen.rate[0]} begin per {format_ms(int(seen.rate[1]))}")
    return _finding(seen, "jobs", Level.OK, ", ".join(told))


def _clients(seen: _Seen) -> Iterator[Finding]:
    if seen.shared.warning is not None:
        fact, _, advice = seen.shared.warning.partition(". ")
        yield _finding(seen, "old-clients", Level.WARNING, fact, advice)


def _held(seen: _Seen) -> Iterator[Finding]:
    if seen.paused:
        yield _finding(
            seen,
            "paused",
            Level.WARNING,
            "it is paused: no job begins",
            f"bullq queues resume {seen.name}",
        )
    if seen.held_for_ms > 0:
        message = f"its rate limit lets the next job begin in {format_ms(seen.held_for_ms)}"
        yield _finding(seen, "rate-limit", Level.OK, message)


def _workers(seen: _Seen) -> Iterator[Finding]:
    if seen.is_held or not seen.waiting:
        return
    oldest = f"{seen.waiting:,} waiting, the oldest for {format_ms(seen.oldest_ms)}"
    if not seen.workers:
        yield _finding(
            seen,
            "no-worker",
            Level.PROBLEM,
            f"{oldest}, and no worker listens",
            f"Start one: bullq worker --queue {seen.name}.",
        )
    elif seen.oldest_ms >= _LONG_WAIT_MS:
        yield _finding(
            seen,
            "backlog",
            Level.WARNING,
            f"{oldest}: its workers do not keep up, or hang",
            "Add workers, or raise the concurrency: 'bullq bench' tells what helps.",
        )


def _overdue(seen: _Seen) -> Iterator[Finding]:
    if seen.is_held or not seen.delayed or seen.overdue_ms < _OVERDUE_MS:
        return
    message = f"a delayed job was due {format_ms(seen.overdue_ms)} ago"
    if not seen.workers:
        yield _finding(
            seen,
            "overdue",
            Level.PROBLEM,
            f"{message}, and no worker listens, which would begin it",
            f"Start one: bullq worker --queue {seen.name}.",
        )
    elif seen.concurrency is None:
        yield _finding(
            seen,
            "overdue",
            Level.PROBLEM,
            f"{message}, and its workers have not begun it",
            f"Look whether they hang: bullq jobs ls {seen.name} --state active, and their log.",
        )


def _stalled(seen: _Seen, queue: JobQueue) -> Iterator[Finding]:
    if not seen.unlocked:
        return
    message = f"{seen.unlocked:,} active jobs have lost their worker"
    if seen.workers:
        interval = format_ms(to_ms(queue.spec.stalled_interval))
        yield _finding(
            seen,
            "stalled",
            Level.WARNING,
            f"{message}; a worker takes them back within its stalled_interval ({interval})",
            "If this stays so, look at the workers' log.",
        )
        return
    yield _finding(
        seen,
        "stalled",
        Level.PROBLEM,
        f"{message}, and no worker is there to take them back",
        f"Start one: bullq worker --queue {seen.name}.",
    )


def _strangers(seen: _Seen) -> Iterator[Finding]:
    if seen.strangers:
        yield _finding(
            seen,
            "unknown-jobs",
            Level.PROBLEM,
            f"waiting jobs that this application does not define: {_list(seen.strangers)}; "
            "its workers fail them",
            "Deploy the code that defines them, or send them to a queue of their own.",
        )


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def _finding(
    seen: _Seen, check: str, level: Level, message: str, advice: str | None = None
) -> Finding:
    return Finding(f"queue {seen.name}", check, level, message, advice)

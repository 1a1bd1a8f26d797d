"""One typed function per script that bullq calls itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgpack

from bullq.protocol.record import JobRecord
from bullq.store.lua import official, script

if TYPE_CHECKING:
    import redis

    from bullq.protocol.keys import QueueKeys
    from bullq.protocol.terms import FinishTerms
    from bullq.store.pipelined import PipelinedConnection, Waiter


@dataclass(slots=True)
class Settlement:
    """A job's next state, as the worker that holds its lock (*token*) wants it recorded.

    *fields* are set on the job's hash in the same step.
    """

    verb: ClassVar[str]

    job_id: str
    token: str
    fields: dict[str, str]

    def packed(self) -> list[Any]:
        """Give the list that lua/exchange-12.lua reads."""
        return [self.verb, self.job_id, self.token, _flat(self.fields)]


@dataclass(slots=True, kw_only=True)
class Finish(Settlement):
    """The job has ended: 'completed' with its result as JSON, or 'failed' with the reason."""

    verb: ClassVar[str] = "finish"

    completed: bool
    value: str
    terms: FinishTerms


@dataclass(slots=True, kw_only=True)
class Retry(Settlement):
    """The attempt has failed, and the next one may begin at once."""

    verb: ClassVar[str] = "retry"

    lifo: bool = False

    def packed(self) -> list[Any]:
        """Give the list that lua/exchange-12.lua reads."""
        return [*Settlement.packed(self), "RPUSH" if self.lifo else "LPUSH"]


@dataclass(slots=True, kw_only=True)
class Delay(Settlement):
    """The job goes on *delay_ms* from now; *skip_attempt* where this was no failed attempt."""

    verb: ClassVar[str] = "delay"

    delay_ms: int
    skip_attempt: bool = False

    def packed(self) -> list[Any]:
        """Give the list that lua/exchange-12.lua reads."""
        skip = "1" if self.skip_attempt else "0"
        return [*Settlement.packed(self), str(self.delay_ms), skip]


@dataclass(slots=True)
class Return(Settlement):
    """The job goes back to the front of the queue as if it had not been picked up."""

    verb: ClassVar[str] = "return"

    fields: dict[str, str] = field(default_factory=dict, init=False)


@dataclass(slots=True)
class Discard(Settlement):
    """The id has no job: take it out of the queue."""

    verb: ClassVar[str] = "discard"

    fields: dict[str, str] = field(default_factory=dict, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Under which terms a worker claims jobs.

    *metrics* is for how many minutes back finished jobs are counted, None for not at all; *plain*
    that the shorter ways are open; *now_ms* is the time to go by, None for the server's.
    """

    lock_duration_ms: int
    worker: str
    limiter: dict[str, int] | None = None
    metrics: int | None = None
    plain: bool = False
    now_ms: int | None = None

    def packed(self) -> bytes:
        """Give the map that lua/exchange-12.lua reads."""
        claim = {
            "lockDuration": self.lock_duration_ms,
            "name": self.worker,
            "limiter": self.limiter,
            "metrics": self.metrics,
            "plain": self.plain,
            "now": self.now_ms,
        }
        return _packed({key: value for key, value in claim.items() if value})


class Claimed(NamedTuple):
    """A job that is now ours: *token* is its lock's."""

    record: JobRecord
    token: str


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What an exchange gave. Times are the server's, in ms since the epoch.

    *answers* has one entry per settlement: a number, negative when refused, or an error's text.
    *limited_for_ms* is how long the rate limit still lasts, 0 without one; *next_delayed* when
    the next delayed job is due, 0 where there is none.
    """

    server_ms: int
    answers: list[int | str]
    claimed: list[Claimed]
    limited_for_ms: int
    next_delayed: int


_EXCHANGE_KEYS = (
    "wait",
    "active",
    "prioritized",
    "events",
    "stalled",
    "limiter",
    "delayed",
    "paused",
    "meta",
    "pc",
    "marker",
    "",
)
_STALLED_KEYS = (
    "stalled",
    "wait",
    "active",
    "stalled-check",
    "meta",
    "paused",
    "marker",
    "events",
    "repeat",
)


class JobScripts:
    """The scripts by which a running job tells of itself."""

    def __init__(self, client: PipelinedConnection, keys: QueueKeys) -> None:
        self._keys = keys
        self._add_log = client.register_script(official("addLog-2"))
        self._progress = client.register_script(official("updateProgress-3"))

    async def add_log(self, job_id: str, row: str, keep: int | None) -> int:
        """Add a row to a job's log, keeping the last *keep* (None: all) (addLog-2).

        Gives the number of rows, or -1 where the job is gone.
        """
        count: Any = await self._add_log(
            keys=[self._keys.job(job_id), self._keys.logs(job_id)],
            args=[job_id, row, "" if keep is None else keep],
        )
        return int(count)

    async def update_progress(self, job_id: str, progress: str) -> int:
        """Record a job's progress (JSON text) and tell it on the event stream (updateProgress-3).

        Gives 0, or -1 where the job is gone.
        """
        answer: Any = await self._progress(
            keys=[self._keys.job(job_id), self._keys.key("events"), self._keys.key("meta")],
            args=[job_id, progress],
        )
        return int(answer or 0)


class WorkerScripts(JobScripts):
    """The scripts a worker of one queue runs, on the connection it gives them."""

    def __init__(self, client: PipelinedConnection, keys: QueueKeys, claim: Claim) -> None:
        super().__init__(client, keys)
        self._claim = claim.packed()
        names = [keys.key(name) for name in _EXCHANGE_KEYS]
        self._exchange = client.register_script(script("exchange-12")).on(names, arguments=2)
        self._stalled = client.register_script(official("moveStalledJobsToWait-9"))

    async def exchange(
        self, settlements: Sequence[Settlement], tokens: Sequence[str], *, resent: bool = False
    ) -> Exchanged:
        """Settle jobs that have ended and claim new ones, one per token (lua/exchange-12.lua).

        *resent* says that an earlier call with these tokens went unanswered.
        """
        packed = _packed_exchange(settlements, tokens, resent=resent)
        return exchanged(await self._exchange(packed, self._claim))

    def begin_exchange(
        self, settlements: Sequence[Settlement], tokens: Sequence[str], waiter: Waiter
    ) -> bool:
        """Begin to exchange, if there is a connection: *waiter* hears what `exchanged` reads."""
        packed = _packed_exchange(settlements, tokens, resent=False)
        return self._exchange.begin(waiter, packed, self._claim)

    async def move_stalled_jobs_to_wait(
        self, max_stalled_count: int, interval_ms: int, now_ms: int
    ) -> list[str]:
        """Take back jobs whose locks are gone; give their ids (moveStalledJobsToWait-9)."""
        ids: Any = await self._stalled(
            keys=[self._keys.key(name) for name in _STALLED_KEYS],
            args=[max_stalled_count, self._keys.base, now_ms, interval_ms],
        )
        return list(ids)


def exchanged(raw: Any) -> Exchanged:
    """Read what lua/exchange-12.lua answers."""
    server_ms, answers, claimed, limited_for_ms, next_delayed = raw
    return Exchanged(
        int(server_ms),
        answers,
        [Claimed(JobRecord.from_flat(id_, flat), token) for id_, token, flat in claimed],
        limited_for_ms and int(limited_for_ms),
        next_delayed and int(next_delayed),
    )


def _packed_exchange(
    settlements: Sequence[Settlement], tokens: Sequence[str], *, resent: bool
) -> bytes:
    """Pack the first argument of lua/exchange-12.lua.

    The terms on which jobs finish are sent once each. Of neighbours with the same terms, a run,
    only the last one has to trim the finished jobs: it removes all that the others would have.
    """
    terms: list[Any] = []
    numbers: dict[tuple[int, bool], int] = {}
    run, before = 0, None
    packed = []
    for one in settlements:
        if not isinstance(one, Finish):
            packed.append(one.packed())
            before = None
            continue
        same = (id(one.terms), one.completed)
        if same != before:
            run, before = run + 1, same
            if same not in numbers:
                terms.append(_finish_terms(one))
                numbers[same] = len(terms)
            number = numbers[same]
        packed.append(["finish", one.job_id, one.token, _flat(one.fields), number, run, one.value])
    return _packed([packed, terms, tokens, resent])


def _finish_terms(finish: Finish) -> dict[str, Any]:
    terms = finish.terms
    options = {"keepJobs": terms.keep, "attempts": terms.attempts, **terms.parent}
    known: dict[str, Any] = {
        "target": "completed" if finish.completed else "failed",
        "property": "returnvalue" if finish.completed else "failedReason",
        "options": options,
    }
    if not terms.trims:
        known["keep"] = 0 if terms.keep.get("count") == 0 else -1
    return known


def _flat(fields: dict[str, str]) -> bytes | bool:
    """Pack fields as the official scripts take them: names and values in turn."""
    return _packed([part for pair in fields.items() for part in pair]) if fields else False


class LockScripts:
    """The script that renews locks, for the thread that does it."""

    def __init__(self, client: redis.Redis, keys: QueueKeys) -> None:
        self._keys = keys
        self._extend = client.register_script(official("extendLocks-1"))

    def extend_locks(self, held: dict[str, str], duration_ms: int) -> list[str]:
        """Renew the locks of jobs (token -> id); give the ids that are lost (extendLocks-1)."""
        lost: Any = self._extend(
            keys=[self._keys.key("stalled")],
            args=[
                self._keys.base,
                _packed(list(held)),
                _packed(list(held.values())),
                duration_ms,
            ],
        )
        return list(lost)


def _packed(value: Any) -> bytes:
    """Pack for cmsgpack, which knows no type for bytes: nested packs go as text."""
    # As the connection does: half a character from some job's error must not end its worker.
    packed: bytes = msgpack.packb(value, use_bin_type=False, unicode_errors="replace")
    return packed

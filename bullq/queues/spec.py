"""How a queue is run: its spec, and the three standard ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bullq.clock import Duration, to_ms
from bullq.errors import InvalidOptionError
from bullq.jobs.reasons import Durability, OnDataLoss, Pickup
from bullq.jobs.retry import Backoff
from bullq.protocol.options import KeepJobs, check_queue_name
from bullq.settings import QueueOptions

_AS_THEY_ARE = (
    *("concurrency", "max_stalled_count", "attempts", "keep_logs"),
    *("use_bullmq", "confirm", "fallback", "pickup", "on_data_loss", "durability"),
)
_DURATIONS = ("lock_duration", "stalled_interval", "job_timeout", "drain_timeout", "metrics_for")


def _ms(place: str, duration: Duration) -> int:
    """Give a duration of *place* in ms, or refuse it with its name."""
    try:
        return to_ms(duration)
    except (TypeError, ValueError) as error:
        raise InvalidOptionError(f"{place}: {error}") from None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most *max* jobs of the queue begin in any *per* (seconds or timedelta), in all workers."""

    max: int
    per: Duration

    def __post_init__(self) -> None:
        if self.max < 1 or _ms("A rate limit's time", self.per) < 1:
            raise InvalidOptionError(
                f"A rate limit lets at least 1 job begin per 1 ms, not {self.max} per {self.per}"
            )

    @property
    def limiter(self) -> dict[str, int]:
        """The limit as BullMQ's scripts take it; the duration in ms."""
        return {"max": self.max, "duration": to_ms(self.per)}


@dataclass(frozen=True, slots=True)
class Keep:
    """Which finished jobs stay readable: the newest *count* of them that are younger than *age*.

    None sets no bound; a *count* of 0 removes each job as soon as it has ended.
    """

    count: int | None = None
    age: Duration | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 0:
            raise InvalidOptionError(f"Keep: count is 0 or more, not {self.count}")
        if self.age is not None:
            _ms("Keep: age", self.age)

    @property
    def option(self) -> KeepJobs:
        """The retention as BullMQ's option; its age is in whole seconds."""
        option: KeepJobs = {}
        if self.count is not None:
            option["count"] = self.count
        if self.age is not None:
            option["age"] = max(1, to_ms(self.age) // 1000)
        return option or {"count": -1}


@dataclass(frozen=True, kw_only=True)
class QueueSpec:
    """How one queue is run. Durations are seconds or timedeltas; None sets no bound.

    *concurrency* jobs run at once in one worker process. A job's lock lasts *lock_duration* and
    is renewed at half of it; a worker that goes silent loses its jobs to the check made every
    *stalled_interval*, at most *max_stalled_count* times before the job fails. *attempts* (all
    tries), *backoff*, *job_timeout* (of one attempt) and the retention apply to jobs dispatched
    from here that do not say otherwise. At shutdown running jobs get *drain_timeout*. Jobs that
    end are counted by the minute, as far back as *metrics_for*; None counts none.

    The rest says how jobs are dispatched. *use_bullmq*: None leaves it to the application;
    *confirm*: whether dispatch waits for a worker to begin the job, None where it may fall back;
    *pickup*: 'alive' lets a job wait while live workers take others, 'started' does not;
    *on_data_loss*: what becomes of a job that Redis has lost; *durability*: 'strict' lets nobody
    act on what decides on jobs before it is on Redis' disk or on a replica.
    """

    name: str
    concurrency: int = 10
    lock_duration: Duration = timedelta(seconds=30)
    stalled_interval: Duration = timedelta(seconds=30)
    max_stalled_count: int = 1
    attempts: int = 3
    backoff: Backoff = Backoff("exponential", delay_ms=1_000, jitter=0.5)
    rate_limit: RateLimit | None = None
    keep_completed: Keep = Keep(count=1_000, age=timedelta(days=1))
    keep_failed: Keep = Keep(count=5_000, age=timedelta(days=7))
    keep_logs: int | None = 1_000
    job_timeout: Duration | None = None
    drain_timeout: Duration = timedelta(seconds=30)
    metrics_for: Duration | None = None
    use_bullmq: bool | None = None
    confirm: bool | None = None
    fallback: bool = True
    pickup: Pickup = "alive"
    on_data_loss: OnDataLoss = "raise"
    durability: Durability = "default"

    def __post_init__(self) -> None:
        check_queue_name(self.name)
        for option, least in (("concurrency", 1), ("attempts", 1), ("max_stalled_count", 0)):
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidOptionError(
                    f"Queue {self.name!r}: {option} is a whole number from {least}, not {value!r}"
                )
        for option in _DURATIONS:
            duration = getattr(self, option)
            if duration is None and option in {"job_timeout", "metrics_for"}:
                continue
            milliseconds = _ms(f"Queue {self.name!r}: {option}", duration)
            if option in {"lock_duration", "stalled_interval"} and milliseconds < 1_000:  # noqa: PLR2004 - one second
                raise InvalidOptionError(
                    f"Queue {self.name!r}: {option} is at least 1 second, not {duration}"
                )

    @property
    def lock_duration_ms(self) -> int:
        """How long a lock lasts, in ms."""
        return to_ms(self.lock_duration)

    @property
    def metrics_minutes(self) -> int | None:
        """For how many minutes back jobs are counted, as BullMQ takes it."""
        return None if self.metrics_for is None else -(-to_ms(self.metrics_for) // 60_000)

    def overridden(self, options: QueueOptions) -> QueueSpec:
        """Give this spec with what the settings say of it."""
        given: dict[str, Any] = options.model_dump(exclude_none=True)
        changes: dict[str, Any] = {name: given[name] for name in _AS_THEY_ARE if name in given}
        changes |= {
            name: timedelta(milliseconds=given[name]) for name in _DURATIONS if name in given
        }
        changes["backoff"] = Backoff(
            given.get("backoff", self.backoff.kind),
            given.get("backoff_delay", self.backoff.delay_ms),
            given.get("backoff_jitter", self.backoff.jitter),
        )
        changes["rate_limit"] = self._limit_from(given)
        for kept in ("keep_completed", "keep_failed"):
            own: Keep = getattr(self, kept)
            age = given.get(f"{kept}_for")
            changes[kept] = Keep(
                given.get(kept, own.count), own.age if age is None else timedelta(milliseconds=age)
            )
        return replace(self, **changes)

    def _limit_from(self, given: dict[str, Any]) -> RateLimit | None:
        own = self.rate_limit
        limit = given.get("rate_limit_max", own.max if own else None)
        per = given.get("rate_limit_duration", to_ms(own.per) if own else None)
        if limit is None and per is None:
            return None
        if limit is None or per is None:
            raise InvalidOptionError(
                f"Queue {self.name!r}: a rate limit needs both rate_limit_max and "
                "rate_limit_duration"
            )
        return RateLimit(limit, timedelta(milliseconds=per))


DEFAULT = QueueSpec(name="default", concurrency=100)
"""Short and medium jobs that wait for the network: many at once."""

DATA_SYNC = QueueSpec(
    name="data-sync",
    concurrency=2,
    lock_duration=timedelta(minutes=5),
    stalled_interval=timedelta(minutes=1),
    drain_timeout=timedelta(minutes=2),
)
"""Long jobs that load the database: few at once, with long locks."""

SCHEDULED = QueueSpec(name="scheduled", concurrency=20)
"""Delayed and recurring jobs."""

STANDARD_QUEUES = (DEFAULT, DATA_SYNC, SCHEDULED)

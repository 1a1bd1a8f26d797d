"""Read the options of the official client's worker, and refuse what bullq cannot honour."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bullq.errors import InvalidOptionError, SettingsError
from bullq.queues.spec import QueueSpec, RateLimit
from bullq.store.address import address_of
from bullq.store.url import parse_address
from bullq.worker.wakeup import LONGEST_BLOCK

DEFAULTS: dict[str, Any] = {
    "concurrency": 1,
    "drainDelay": 5,
    "lockDuration": 30_000,
    "maxStalledCount": 1,
    "runRetryDelay": 15_000,
    "stalledInterval": 30_000,
}
"""What the official client takes where an option is not given; times in ms, drainDelay in s."""

_LEAST_BLOCK = 0.05
"""Seconds that an idle queue is left alone at least: its marker wakes the worker anyway."""

TAKEN = {
    *DEFAULTS,
    "autorun",
    "backend",
    "connection",
    "limiter",
    "lockRenewTime",
    "metrics",
    "name",
    "prefix",
    "removeOnComplete",
    "removeOnFail",
    "settings",
    "skipVersionCheck",
    "skipWaitingForReady",
}
REMEDIES = {
    "maxStartedAttempts": "bound the attempts in the jobs' own options",
    "maximumRateLimitDelay": "a limited queue is asked again when its limit ends",
    "schema": "bullq works on Redis and Valkey; keep bullmq.Worker for PostgreSQL",
    "skipLockRenewal": "without renewed locks other workers would run the same jobs again",
    "skipStalledCheck": "without the check the jobs of a worker that died would be lost",
    "telemetry": "the official Python client does not know it either",
    "useWorkerThreads": "a processor that is a plain function runs in a thread anyway",
}
"""Options of Node's worker, or of another backend, and why there is no need of them."""


@dataclass(frozen=True, kw_only=True)
class _Spec(QueueSpec):
    """A queue as the official client has it: of any name, with times as short as somebody asks."""

    def __post_init__(self) -> None:
        """Check nothing: `read_options` has."""


@dataclass(frozen=True, kw_only=True)
class DropInOptions:
    """What the options of an official worker mean to one of bullq's."""

    address: str
    prefix: str
    name: str | None
    autorun: bool
    spec: QueueSpec
    renew_locks_every: timedelta
    longest_block: float
    """Seconds after which an idle queue is asked anyway, LONGEST_BLOCK at most."""
    retention: dict[str, Any]
    """removeOnComplete and removeOnFail, for jobs that do not say themselves."""
    backoff_strategy: Callable[..., Any] | None


def read_options(queue: str, given: Mapping[str, Any]) -> DropInOptions:
    """Read a worker's options; raises InvalidOptionError for what cannot be honoured."""
    _refuse(given)
    if not isinstance(queue, str):
        raise InvalidOptionError(f"A queue's name is text, not {queue!r}")
    options = {**DEFAULTS, **given}
    lock_ms = _number(options, "lockDuration", least=1)
    renew_ms = _number(options, "lockRenewTime", least=1) if "lockRenewTime" in given else None
    spec = _Spec(
        name=queue,
        concurrency=_whole(options, "concurrency", least=1),
        lock_duration=timedelta(milliseconds=lock_ms),
        stalled_interval=timedelta(milliseconds=_number(options, "stalledInterval", least=1)),
        max_stalled_count=_whole(options, "maxStalledCount", least=0),
        rate_limit=_limit(given.get("limiter")),
        metrics_for=_metrics(given.get("metrics")),
    )
    _number(options, "runRetryDelay", least=0)
    return DropInOptions(
        address=_address(given.get("connection") or {}),
        prefix=_text(given, "prefix") or "bull",
        name=_text(given, "name"),
        autorun=bool(given.get("autorun", True)),
        spec=spec,
        renew_locks_every=timedelta(milliseconds=renew_ms or lock_ms / 2),
        longest_block=min(
            max(_number(options, "drainDelay", least=0), _LEAST_BLOCK), LONGEST_BLOCK
        ),
        retention=_retention(given),
        backoff_strategy=_strategy(given.get("settings")),
    )


def check_processor(processor: Any) -> None:
    """Raise InvalidOptionError for what cannot be called, such as the path of a file."""
    if processor is None or callable(processor):
        return
    hint = ""
    if isinstance(processor, str | os.PathLike):
        hint = ". Files are for Node's worker: import the function, and give that"
    raise InvalidOptionError(
        f"A worker's processor is a function (job, token), not {processor!r}{hint}"
    )


def _refuse(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in TAKEN or (name in REMEDIES and not value):
            continue
        if name in REMEDIES:
            raise InvalidOptionError(
                f"The worker's option {name!r} is not supported, leave it out: {REMEDIES[name]}"
            )
        close = difflib.get_close_matches(str(name), TAKEN, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(TAKEN))}"
        raise InvalidOptionError(f"A worker has no option {name!r}: {meant}")
    if given.get("backend") not in (None, "redis"):
        raise InvalidOptionError(
            f"The worker's option 'backend' is {given['backend']!r}, and bullq works on Redis and "
            "Valkey only: leave it out, or keep bullmq.Worker"
        )


def _address(connection: Any) -> str:
    address = address_of(connection)
    try:
        parse_address(address)
    except SettingsError as error:
        told = str(error).removeprefix("REDIS_URL=")
        raise InvalidOptionError(f"The worker's option 'connection': {told}") from None
    return address


def _number(options: Mapping[str, Any], name: str, *, least: float) -> float:
    value = options[name]
    counts = isinstance(value, int | float) and not isinstance(value, bool)
    if not counts or not least <= value < math.inf:
        raise InvalidOptionError(
            f"The worker's option {name!r} is a number from {least}, not {value!r}"
        )
    return float(value) if isinstance(value, float) else int(value)


def _whole(options: Mapping[str, Any], name: str, *, least: int) -> int:
    value = _number(options, name, least=least)
    if value != int(value):
        raise InvalidOptionError(f"The worker's option {name!r} is a whole number, not {value!r}")
    return int(value)


def _text(options: Mapping[str, Any], name: str) -> str | None:
    value = options.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidOptionError(f"The worker's option {name!r} is text, not {value!r}")
    return value or None


def _limit(limiter: Any) -> RateLimit | None:
    if limiter is None:
        return None
    if not isinstance(limiter, Mapping) or set(limiter) != {"max", "duration"}:
        raise InvalidOptionError(
            f"The worker's option 'limiter' is a dict of 'max' and 'duration' (ms), not {limiter!r}"
        )
    return RateLimit(
        _whole(limiter, "max", least=1),
        timedelta(milliseconds=_number(limiter, "duration", least=1)),
    )


def _retention(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {one: given[one] for one in ("removeOnComplete", "removeOnFail") if one in given}
    for name, value in kept.items():
        parts = value.values() if isinstance(value, Mapping) else [value]
        known = not isinstance(value, Mapping) or value.keys() <= {"age", "count", "limit"}
        if not known or not all(one is None or isinstance(one, int | float) for one in parts):
            raise InvalidOptionError(
                f"The worker's option {name!r} is True, False, how many jobs to keep, or a dict of "
                f"'age' (s), 'count' and 'limit', not {value!r}"
            )
    return kept


def _metrics(metrics: Any) -> timedelta | None:
    if metrics is None:
        return None
    if not isinstance(metrics, Mapping) or set(metrics) != {"maxDataPoints"}:
        raise InvalidOptionError(
            f"The worker's option 'metrics' is a dict of 'maxDataPoints', not {metrics!r}"
        )
    return timedelta(minutes=_whole(metrics, "maxDataPoints", least=1))


def _strategy(settings: Any) -> Callable[..., Any] | None:
    if not settings:
        return None
    if not isinstance(settings, Mapping) or set(settings) != {"backoffStrategy"}:
        raise InvalidOptionError(
            f"The worker's option 'settings' is a dict of 'backoffStrategy', not {settings!r}"
        )
    strategy = settings["backoffStrategy"]
    if strategy is not None and not callable(strategy):
        raise InvalidOptionError(f"The setting 'backoffStrategy' is a function, not {strategy!r}")
    return strategy if callable(strategy) else None

"""Examine a Redis server: what of it loses, delays or refuses the jobs of a queue."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError, ResponseError

from bullq.clock import format_ms
from bullq.store.binary import OLDEST
from bullq.telemetry.findings import Finding, Level

if TYPE_CHECKING:
    from bullq.store.connection import Store

_PINGS = 50
_SLOW_MS, _SLOW_P99_MS = 10.0, 100.0
_SKEW_MS = 1_000
_FULL, _ALMOST_FULL = 0.95, 0.8  # shares of what there is

Info = dict[str, Any]


async def examine_server(store: Store) -> list[Finding]:
    """Examine the server of *store*; raises StoreUnavailable where it does not serve."""
    await store.check()
    with store.errors():
        try:
            info: Info = await store.client().info()
        except (NoPermissionError, ResponseError) as error:
            return [_refused(error), await _latency(store), await _skew(store)]
        return [
            _version(store, info),
            *_role(info),
            await _latency(store),
            await _skew(store),
            _eviction(info),
            _memory(info),
            *_persistence(info, await _config(store, "save")),
            *_clients(info),
        ]


def _refused(error: Exception) -> Finding:
    return _finding(
        "info",
        Level.SKIPPED,
        f"Redis does not tell of itself ({error}): its version, memory and persistence are unknown",
        "Let this user run INFO and CONFIG GET, or look there as another one.",
    )


def _version(store: Store, info: Info) -> Finding:
    is_valkey = "valkey_version" in info
    version = str(info["valkey_version" if is_valkey else "redis_version"])
    name = f"{'Valkey' if is_valkey else 'Redis'} {version} at {store.address}"
    if not is_valkey and _numbers(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return _finding(
            "version",
            Level.PROBLEM,
            f"{name}: BullMQ's scripts need {oldest} or newer",
            f"Upgrade it to {oldest} or newer, better to 7 or a Valkey.",
        )
    return _finding("version", Level.OK, name)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _role(info: Info) -> Iterator[Finding]:
    if info.get("cluster_enabled") or info.get("redis_mode", info.get("server_mode")) == "cluster":
        yield _finding(
            "cluster",
            Level.WARNING,
            "this is a node of a cluster: bullq uses it alone, and follows no key to another",
            "Give BULLQ_PREFIX a hash tag, such as {bull}, and name the node that has it in "
            "REDIS_URL, anew after a failover.",
        )
    if info.get("role") == "slave":
        yield _finding(
            "role",
            Level.PROBLEM,
            "this is a replica: it takes neither jobs nor outcomes",
            "Set REDIS_URL to its primary, "
            f"{info.get('master_host', '?')}:{info.get('master_port', '?')}.",
        )


async def _latency(store: Store) -> Finding:
    took = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        await store.client().ping()
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    p50, p99 = took[_PINGS // 2], took[math.ceil(_PINGS * 0.99) - 1]
    message = f"answers in {p50:.1f} ms (p50), {p99:.1f} ms (p99), of {_PINGS} calls"
    if p50 < _SLOW_MS and p99 < _SLOW_P99_MS:
        return _finding("latency", Level.OK, message)
    return _finding(
        "latency",
        Level.WARNING,
        f"{message}: each dispatch waits for one, and each worker between two claims",
        "Bring it nearer, or look for what keeps it busy: redis-cli SLOWLOG GET 10.",
    )


async def _skew(store: Store) -> Finding:
    before = time.time()
    seconds, microseconds = await store.client().time()
    here = (before + time.time()) / 2
    skew_ms = round((here - int(seconds) - int(microseconds) / 1e6) * 1000)
    if abs(skew_ms) < _SKEW_MS:
        return _finding("clock", Level.OK, "its clock and this machine's agree within a second")
    return _finding(
        "clock",
        Level.WARNING,
        f"this machine's clock is {format_ms(abs(skew_ms))} "
        f"{'ahead of' if skew_ms > 0 else 'behind'} Redis': jobs that other clients delay here "
        f"begin {'late' if skew_ms > 0 else 'early'}; bullq's own go by Redis' clock",
        "Have both machines set their clocks by NTP.",
    )


def _eviction(info: Info) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return _finding("eviction", Level.OK, "maxmemory-policy is noeviction")
    bounded = int(info.get("maxmemory", 0)) > 0
    return _finding(
        "eviction",
        Level.PROBLEM if bounded else Level.WARNING,
        f"maxmemory-policy is {policy}: when memory is full, Redis drops jobs and locks "
        "without a word" + ("" if bounded else ", as soon as there is a maxmemory"),
        "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in its configuration.",
    )


def _memory(info: Info) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    limit, name = most, "maxmemory"
    if not most:
        limit, name = int(info.get("total_system_memory", 0)), "the machine's memory"
    if not limit:
        return _finding("memory", Level.OK, f"uses {_size(used)}, without a maxmemory")
    share = used / limit
    message = f"uses {_size(used)}, {share:.0%} of {name} ({_size(limit)})"
    if share < _ALMOST_FULL:
        return _finding("memory", Level.OK, message)
    return _finding(
        "memory",
        Level.PROBLEM if share >= _FULL else Level.WARNING,
        f"{message}: a full Redis takes no new jobs",
        "Keep fewer ended jobs (keep_completed, keep_failed), or give it more memory.",
    )


def _persistence(info: Info, save: str | None) -> Iterator[Finding]:
    for field, what in (
        ("rdb_last_bgsave_status", "snapshot"),
        ("aof_last_write_status", "write to the append-only file"),
        ("aof_last_bgrewrite_status", "rewrite of the append-only file"),
    ):
        if info.get(field, "ok") != "ok":
            yield _finding(
                "persistence",
                Level.PROBLEM,
                f"the last {what} failed: Redis may refuse all writes, and forgets at a restart",
                "Look at its log and at the space left on its disk.",
            )
    if int(info.get("aof_enabled", 0)):
        yield _finding("persistence", Level.OK, "keeps an append-only file")
        return
    if save is None:
        message, level = "no append-only file; whether it makes snapshots is unknown", Level.WARNING
    elif save:
        message = f"makes snapshots only (save {save}): a crash loses the jobs since the last one"
        level = Level.WARNING
    else:
        message, level = "keeps nothing on disk: a restart loses every job", Level.WARNING
    advice = "redis-cli CONFIG SET appendonly yes, and the same in its configuration."
    yield _finding("persistence", level, message, advice)


def _clients(info: Info) -> Iterator[Finding]:
    connected, most = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    if most and connected >= most * _ALMOST_FULL:
        yield _finding(
            "clients",
            Level.WARNING,
            f"{connected} of at most {most} clients are connected: the next ones are refused",
            "redis-cli CONFIG SET maxclients, or look who they are: redis-cli CLIENT LIST.",
        )


async def _config(store: Store, name: str) -> str | None:
    """Give a setting of the server; None where it does not tell."""
    try:
        answer = await store.client().config_get(name)
    except (NoPermissionError, ResponseError):
        return None
    return None if name not in answer else str(answer[name])


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1024:  # noqa: PLR2004 - of them make the next unit
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"


def _finding(check: str, level: Level, message: str, advice: str | None = None) -> Finding:
    return Finding("redis", check, level, message, advice)

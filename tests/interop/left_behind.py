"""Everything a queue holds in Redis, in a form in which two queues can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import redis

MOMENTS = ("timestamp", "processedOn", "finishedOn", "prevTS", "prevCount")
"""Fields of hashes that say when something happened: present on both sides, never equal."""

SCHEDULED = ("timestamp", "startDate", "endDate", "offset", "prevMillis")
"""The same in schedules, and in the options of their runs."""


PASSING = ("marker", "stalled-check", "limiter", "completed:data", "failed:data")
"""Keys that are there or not by the moment: wake-up, check, a limit, the minute of a metric."""

OWN = ("nrjid", "bullq:children")
"""Fields that one client alone writes, for itself: 5.x in runs of schedules, bullq in parents."""

_RUN = re.compile(r"(repeat:[^:\"]+):\d+")


def left_behind(url: str, prefix: str) -> dict[str, Any]:
    """Give every key below *prefix*, without it: type, whether it expires, comparable content.

    PASSING keys are left out.
    Links between jobs name keys, so the prefix is left out of contents as well.
    What differs from run to run is replaced: moments in jobs and scores by their presence,
    stack traces by their number, the time in the id of a schedule's run, the event stream
    (compared by its events) by its type.
    """
    with redis.Redis.from_url(url, decode_responses=True) as client:
        keys = [
            key
            for key in sorted(client.scan_iter(f"{prefix}:*", count=10_000))
            if not key.endswith(tuple(f":{name}" for name in PASSING))
        ]
        kinds = _all(client, lambda pipe, key: pipe.type(key), keys)
        lives = _all(client, lambda pipe, key: pipe.pttl(key), keys)
        readable = dict(zip(keys, kinds, strict=True))
        contents = _all(client, lambda pipe, key: _READ[readable[key]](pipe, key), keys)
    found: dict[str, Any] = {}
    for key, kind, life, content in zip(keys, kinds, lives, contents, strict=True):
        text = json.dumps(_COMPARABLE[kind](key, content)).replace(prefix, "")
        name = _name(key.removeprefix(prefix), found)
        found[name] = (kind, life > 0, json.loads(_RUN.sub(r"\1:run", text)))
    return found


def wipe(url: str, prefix: str) -> None:
    """Remove every key below *prefix*: the fewer there are, the sooner others find theirs."""
    with redis.Redis.from_url(url) as client:
        if keys := list(client.scan_iter(f"{prefix}:*", count=10_000)):
            client.unlink(*keys)


def _all(client: Any, ask: Callable[[Any, str], Any], keys: list[str]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        ask(pipeline, key)
    return list(pipeline.execute())


def _name(key: str, found: dict[str, Any]) -> str:
    """Number the runs of a schedule in place of their times."""
    name, number = _RUN.sub(r"\1:run", key), 1
    while f"{name} {number}" in found:
        number += 1
    return f"{name} {number}" if name != key else key


def _hash(key: str, fields: dict[str, Any]) -> dict[str, Any]:
    if "stacktrace" in fields:
        fields["stacktrace"] = f"{len(json.loads(fields['stacktrace']))} traces"
    # Their order is an accident of Lua's tables.
    for name in {"opts", "parent"} & set(fields):
        fields[name] = json.loads(fields[name])
    for name in OWN:
        fields.pop(name, None)
    if key.endswith(":meta"):
        fields.pop("version", None)  # of the client that was set up last
    _hide(fields, MOMENTS)
    if isinstance(options := fields.get("opts"), dict):
        _hide(options, SCHEDULED)
        _hide(options.get("repeat", {}), SCHEDULED)
        options.pop("prevMillis", None)  # the Python side writes it for `every`, too
    if "rjk" in fields:
        _hide(fields, ("delay",))
        _hide(fields["opts"], ("delay",))
    if re.search(r":repeat:[^:]+$", key):
        _hide(fields, SCHEDULED)
    return fields


def _hide(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in set(names) & set(fields):
        fields[name] = "a moment"


_READ: dict[str, Callable[[Any, str], Any]] = {
    "hash": lambda pipe, key: pipe.hgetall(key),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1),
    "list": lambda pipe, key: pipe.lrange(key, 0, -1),
    "set": lambda pipe, key: pipe.smembers(key),
    "string": lambda pipe, key: pipe.get(key),
    "stream": lambda pipe, key: pipe.xlen(key),
}

_COMPARABLE: dict[str, Callable[[str, Any], Any]] = {
    "hash": _hash,
    # Scores are moments, or counted up from them; the order is compared by the events.
    "zset": lambda _, members: sorted(members),
    "list": lambda _, members: members,
    "set": lambda _, members: sorted(members),
    "string": lambda _, text: text,
    "stream": lambda _, length: None,
}

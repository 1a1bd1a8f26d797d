"""Everything a queue holds in Redis, in a form in which two queues can be compared."""

from __future__ import annotations

import json
import re
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
        found: dict[str, Any] = {}
        for key in sorted(client.scan_iter(f"{prefix}:*", count=1000)):
            if key.endswith(tuple(f":{name}" for name in PASSING)):
                continue
            kind = client.type(key)
            text = json.dumps(_CONTENT[kind](client, key)).replace(prefix, "")
            name = key.removeprefix(prefix)
            content = json.loads(_RUN.sub(r"\1:run", text))
            found[_name(name, found)] = (kind, client.pttl(key) > 0, content)
        return found


def _name(key: str, found: dict[str, Any]) -> str:
    """Number the runs of a schedule in place of their times."""
    name, number = _RUN.sub(r"\1:run", key), 1
    while f"{name} {number}" in found:
        number += 1
    return f"{name} {number}" if name != key else key


def _hash(client: Any, key: str) -> dict[str, Any]:
    fields: dict[str, Any] = client.hgetall(key)
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


_CONTENT = {
    "hash": _hash,
    # Scores are moments, or counted up from them; the order is compared by the events.
    "zset": lambda client, key: sorted(client.zrange(key, 0, -1)),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: sorted(client.smembers(key)),
    "string": lambda client, key: client.get(key),
    "stream": lambda client, key: None,
}

"""Everything a queue holds in Redis, in a form in which two queues can be compared."""

from __future__ import annotations

import json
from typing import Any

import redis

MOMENTS = ("timestamp", "processedOn", "finishedOn")
"""Fields of a job's hash that say when something happened: present on both sides, never equal."""


PASSING = ("marker", "stalled-check")
"""Keys that are there or not by the moment in which a worker stops: its next wake-up, its check."""


def left_behind(url: str, prefix: str) -> dict[str, Any]:
    """Give every key below *prefix*, without it: type, whether it expires, comparable content.

    PASSING keys are left out.
    Links between jobs name keys, so the prefix is left out of contents as well.
    What differs from run to run is replaced: moments in jobs and scores by their presence,
    stack traces by their number, the event stream (compared by its events) by its type.
    """
    with redis.Redis.from_url(url, decode_responses=True) as client:
        found = {}
        for key in sorted(client.scan_iter(f"{prefix}:*", count=1000)):
            if key.endswith(tuple(f":{name}" for name in PASSING)):
                continue
            kind = client.type(key)
            content = json.loads(json.dumps(_CONTENT[kind](client, key)).replace(prefix, ""))
            found[key.removeprefix(prefix)] = (kind, client.pttl(key) > 0, content)
        return found


def _hash(client: Any, key: str) -> dict[str, Any]:
    fields: dict[str, Any] = client.hgetall(key)
    for name in MOMENTS:
        if name in fields:
            fields[name] = "a moment"
    if "stacktrace" in fields:
        fields["stacktrace"] = f"{len(json.loads(fields['stacktrace']))} traces"
    return fields


_CONTENT = {
    "hash": _hash,
    # Scores are moments, or counted up from them; the order is compared by the events.
    "zset": lambda client, key: sorted(client.zrange(key, 0, -1)),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: sorted(client.smembers(key)),
    "string": lambda client, key: client.get(key),
    "stream": lambda client, key: None,
}

"""Find jobs that no list knows of, and have them wait again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from bullq.protocol.record import CorruptRecord, JobRecord
from bullq.store.lua import script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store

_LISTS = ("wait", "paused", "active")
_KEYS = (
    *_LISTS,
    *("prioritized", "delayed", "waiting-children", "completed", "failed"),
    *("marker", "meta", "events", ""),
)
_FIELDS = ("name", "timestamp", "finishedOn")
_SCANNED = 1_000  # keys that one call of SCAN looks at
_PAGE = 10_000  # ids that one call reads of a list
_CHUNK = 20  # jobs per call, each of which is looked for in whole lists


async def rescue_lost(store: Store, keys: QueueKeys) -> list[str]:
    """Have jobs wait again that are in no state though they have not ended; give their ids.

    They come before all others, the oldest first. A client of BullMQ 5 that resumes a queue
    leaves the jobs so that newer clients have added meanwhile. Looks at every key of the
    database: on a large one it takes a while, and holds nobody up.
    """
    with store.errors():
        client = store.client()
        listed = await _listed(client, keys)
        lost: dict[str, int] = {}
        async for page in _pages(client, keys):
            lost |= await _unfinished(client, keys, [id_ for id_ in page if id_ not in listed])
        restore = store.pipelined().register_script(script("restoreLost-12"))
        restored: list[str] = []
        # Within a millisecond by their ids: bullq's sort by time, and Node's are counted up.
        newest_first = sorted(lost, key=lambda id_: (lost[id_], len(id_), id_), reverse=True)
        for start in range(0, len(newest_first), _CHUNK):
            ids: Any = await restore(
                keys=[keys.key(name) for name in _KEYS],
                args=newest_first[start : start + _CHUNK],
            )
            restored += ids
    return restored[::-1]


async def _listed(client: Any, keys: QueueKeys) -> set[str]:
    ids: set[str] = set()
    for name in _LISTS:
        key = keys.key(name)
        for start in range(0, await client.llen(key), _PAGE):
            ids.update(await client.lrange(key, start, start + _PAGE - 1))
    return ids


async def _pages(client: Any, keys: QueueKeys) -> AsyncIterator[list[str]]:
    """Give the names of the queue's hashes, page by page: ids of jobs are among them."""
    cursor, pattern = 0, f"{_literal(keys.base)}*"
    while True:
        cursor, found = await client.scan(cursor, match=pattern, count=_SCANNED, _type="hash")
        yield [key.removeprefix(keys.base) for key in found]
        if not cursor:
            return


async def _unfinished(client: Any, keys: QueueKeys, names: list[str]) -> dict[str, int]:
    """Tell of these hashes those of jobs that have not ended, and when each was added."""
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.hmget(keys.job(name), *_FIELDS)
    values = await pipeline.execute() if names else []
    found: dict[str, int] = {}
    for name, fields in zip(names, values, strict=True):
        known = {field: value for field, value in zip(_FIELDS, fields, strict=True) if value}
        if set(known) == {"name", "timestamp"}:
            try:
                found[name] = JobRecord(name, known).timestamp
            except CorruptRecord:
                found[name] = 0
    return found


def _literal(text: str) -> str:
    """Escape what SCAN would take for a pattern."""
    return "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in text)

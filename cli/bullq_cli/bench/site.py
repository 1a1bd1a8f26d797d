"""The place of a measurement in the user's Redis: a prefix of its own, and what jobs cost there."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bullq.store.connection import Store

_PAGE = 1_000  # keys that are looked at, and removed, in one call
_CLEANING_DEADLINE = 60.0  # seconds


class Site:
    """Everything of one measurement in Redis begins with *prefix*."""

    def __init__(self, store: Store) -> None:
        self.prefix = f"bullq-bench-{secrets.token_hex(4)}"
        self._store = store

    async def scripts_us(self) -> int:
        """Give how long Redis has spent in scripts so far, in µs, whoever called them."""
        with self._store.errors():
            commands = await self._store.client().info("commandstats")
        return sum(
            int(stats["usec"])
            for name, stats in commands.items()
            if name.removeprefix("cmdstat_").startswith("eval")
        )

    async def clear(self) -> int:
        """Remove every key of the measurement; give how many there were."""
        client, removed = self._store.client(), 0
        with self._store.errors():
            async with asyncio.timeout(_CLEANING_DEADLINE):
                keys: list[str] = []
                async for key in client.scan_iter(match=f"{self.prefix}:*", count=_PAGE):
                    keys.append(key)
                    if len(keys) == _PAGE:
                        removed += await client.unlink(*keys)
                        keys.clear()
                if keys:
                    removed += await client.unlink(*keys)
        return removed


@contextlib.asynccontextmanager
async def occupied(store: Store) -> AsyncIterator[Site]:
    """Take a place in Redis, and leave nothing behind, also when interrupted."""
    site = Site(store)
    try:
        yield site
    finally:
        await site.clear()

"""Read a queue's event stream as it grows, through outages of Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from bullq.clock import Duration, to_ms
from bullq.errors import InvalidOptionError, StoreUnavailable
from bullq.protocol.events import QueueEvent, read_event

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store

FROM_THE_START = "0-0"
"""What to read from for everything that the stream still holds."""

_BLOCK = 5.0  # seconds that one read waits at most for the next event
_MARGIN = 2.0  # seconds beyond that within which Redis has to answer
_PAGE = 500
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0  # seconds between attempts to reconnect


async def read_events(
    store: Store,
    keys: QueueKeys,
    *,
    since: str | None = None,
    quiet_for: Duration | None = None,
    max_outage: Duration = 300,
) -> AsyncGenerator[QueueEvent, None]:
    """Give a queue's events in their order, each once, as they happen.

    *since* is the id of the last event that is known already, FROM_THE_START for all that the
    stream still holds, None for those from now on. Ends after *quiet_for* without an event; None
    goes on for ever. Reconnects by itself; raises StoreUnavailable once Redis has been away for
    *max_outage*. The stream holds about 10,000 events: who reads on later may miss some.
    """
    reader = _Reader(store, keys, _checked(since), quiet_for, max_outage)
    try:
        while (page := await reader.page()) is not None:
            for event in page:
                yield event
    finally:
        await reader.disconnect()


def _checked(since: str | None) -> str | None:
    if since is None:
        return None
    milliseconds, _, number = since.partition("-")
    if not milliseconds.isdecimal() or not (number or "0").isdecimal():
        raise InvalidOptionError(f"An event's id is like '1700000000000-0', not {since!r}")
    return since


class _Reader:
    """One connection to the stream, made anew where it breaks."""

    def __init__(
        self,
        store: Store,
        keys: QueueKeys,
        last_id: str | None,
        quiet_for: Duration | None,
        max_outage: Duration,
    ) -> None:
        self._store = store
        self._keys = keys
        self._last_id = last_id
        self._quiet_s = None if quiet_for is None else to_ms(quiet_for) / 1000
        self._outage_s = to_ms(max_outage) / 1000
        self._client: Any = None
        self._heard = time.monotonic()

    async def page(self) -> list[QueueEvent] | None:
        """Give the next events; an empty list where none came for a while, None at the end."""
        pause, lost = _FIRST_PAUSE, None
        while True:
            try:
                return await self._read()
            except (StoreUnavailable, TimeoutError) as error:
                await self.disconnect()
                lost = time.monotonic() if lost is None else lost
                if time.monotonic() - lost >= self._outage_s:
                    raise StoreUnavailable(
                        f"No events of the queue {self._keys.queue!r} for {self._outage_s:g} s: "
                        f"{str(error) or 'Redis does not answer'}"
                    ) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def disconnect(self) -> None:
        """Close the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose(close_connection_pool=True)

    async def _read(self) -> list[QueueEvent] | None:
        if self._client is None:
            self._client = await self._store.open_blocking(self._keys.client_name(":qe"))
        if self._last_id is None:
            self._last_id = await self._newest_id()
        block = max(0.001, self._block())
        async with asyncio.timeout(block + _MARGIN):
            with self._store.errors():
                streams = await self._client.xread(
                    {self._keys.key("events"): self._last_id},
                    count=_PAGE,
                    block=round(block * 1000),
                )
        events = [read_event(*entry) for _, entries in streams or [] for entry in entries]
        if events:
            self._last_id = events[-1].id
            self._heard = time.monotonic()
        elif self._block() <= 0:
            return None  # what has come while nobody read would have been there
        return events

    def _block(self) -> float:
        """Give the seconds that the next read may wait; none where it has been quiet for long."""
        if self._quiet_s is None:
            return _BLOCK
        return min(_BLOCK, self._heard + self._quiet_s - time.monotonic())

    async def _newest_id(self) -> str:
        async with asyncio.timeout(_MARGIN):
            with self._store.errors():
                newest = await self._client.xrevrange(self._keys.key("events"), count=1)
        return str(newest[0][0]) if newest else FROM_THE_START

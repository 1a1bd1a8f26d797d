"""Keep jobs of one order key in the order in which they were dispatched, wherever they wait.

They all have the same engine, so that none overtakes another on its way; what is left are those
that are being dispatched, which take turns, and those in the outbox, behind which the next ones
have to wait, too.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bullq.errors import DispatchUnavailable, InvalidOptionError

if TYPE_CHECKING:
    from bullq.dispatch.errand import Errand
    from bullq.dispatch.outbox import Outbox
    from bullq.jobs.definition import JobDefinition

_SHARE = 0.8  # of the time that is left, for which a dispatch waits for those before it
_LONGEST_KEY = 256  # characters


def order_key_of(job: JobDefinition[Any, Any], data: Any, given: str | None) -> str | None:
    """Give the order key that a dispatch says (*given*), else what its job says of *data*.

    Raises InvalidOptionError where that is no key.
    """
    own = job.policy.order_key
    if given is None and own is None:
        return None
    key: Any = given if given is not None or own is None else own(data)
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= _LONGEST_KEY:
        raise InvalidOptionError(
            f"{job.queue}/{job.name}: an order_key is text of 1 to {_LONGEST_KEY} characters, "
            f"not {key!r}"
        )
    return key


class InOrder:
    """Who has an order key is dispatched after those that came before, on one event loop.

    *outbox* is where they may wait; None where there is none.
    """

    def __init__(self, outbox: Outbox | None) -> None:
        self._outbox = outbox
        self._last: dict[tuple[str, str], asyncio.Future[None]] = {}

    @asynccontextmanager
    async def turn(self, errand: Errand, order_key: str) -> AsyncIterator[bool]:
        """Wait for the errand's turn, which ends with the block, or once it is on its queue.

        Gives whether nothing of the key is in the outbox. Whoever comes later never has their
        turn before those who came first, also where these have gone. Raises DispatchUnavailable.
        """
        place = errand.job.queue, order_key
        before, mine = self._last.get(place), asyncio.get_running_loop().create_future()
        self._last[place] = mine

        def pass_on(_: object = None) -> None:
            if not mine.done():
                mine.set_result(None)
            if self._last.get(place) is mine:
                del self._last[place]

        try:
            await self._wait_for(before, errand)
            errand.on_queue = pass_on
            yield await self._is_free(errand, place)
        finally:
            if before is None or before.done():
                pass_on()
            else:
                before.add_done_callback(pass_on)

    @staticmethod
    async def _wait_for(before: asyncio.Future[None] | None, errand: Errand) -> None:
        if before is None:
            return
        try:
            async with asyncio.timeout(errand.left * _SHARE):
                await asyncio.shield(before)
        except TimeoutError:
            raise _not_sent(errand, "one that came before it is still being dispatched") from None

    async def _is_free(self, errand: Errand, place: tuple[str, str]) -> bool:
        if self._outbox is None:
            return True
        try:
            return not await self._outbox.keeps(*place)
        except (sqlite3.Error, OSError) as error:
            raise _not_sent(errand, f"the outbox cannot be read: {error}") from error


def _not_sent(errand: Errand, why: str) -> DispatchUnavailable:
    return DispatchUnavailable(
        f"The job {errand.id} ({errand.place}) was not queued and will not run, as jobs of the "
        f"order key {errand.order_key!r} may be before it: {why}. Dispatch it again"
    )

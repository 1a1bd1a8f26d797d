"""Wait for jobs to end, by reading their queue's event stream: no polling."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from bullq.errors import ResultGone, StoreUnavailable
from bullq.protocol.events import ROUTED_VALUE, Ended, read_ended
from bullq.protocol.record import JobRecord

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store

_BLOCK_MS = 5_000
_ANSWER_MARGIN = 2.0  # seconds beyond the block within which Redis has to answer
_LAST_LOOK = 0.25  # seconds, once time is up
_PAGE = 500
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0  # seconds between attempts to reconnect


class ResultWatcher:
    """One reader of a queue's events for everything in this event loop that waits for results.

    It connects when the first waiter comes and leaves with the last.
    """

    def __init__(self, store: Store, keys: QueueKeys) -> None:
        self._store = store
        self._keys = keys
        self._waiters: dict[str, set[asyncio.Future[Ended]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def wait(self, job_id: str, timeout: float, *, since_ms: int) -> Ended:  # noqa: ASYNC109
        """Give how the job ended; *since_ms* is when it was dispatched, by the server's clock.

        Raises TimeoutError after *timeout* seconds, ResultGone where the record and its events
        are gone.
        """
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(job_id, set()).add(future)
        try:
            async with asyncio.timeout(timeout):
                await self._listen()
                # Whatever ends from here on is heard; what ended before is on record.
                return await self._ended_before(job_id, since_ms) or await future
        except TimeoutError:
            # It may have ended all the same. A Redis that does not answer holds nobody up for long.
            with contextlib.suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(_LAST_LOOK):
                    if ended := await self._ended_before(job_id, since_ms):
                        return ended
            raise
        finally:
            self._leave(job_id, future)

    async def _ended_before(self, job_id: str, since_ms: int) -> Ended | None:
        record = await self._record(job_id)
        if not record.exists:
            ended = await self._ended_in_stream(job_id, since_ms)
            if ended is None:
                raise ResultGone(
                    f"The record of job {job_id} is gone from the queue {self._keys.queue!r}, "
                    "and its result with it: keep finished jobs longer (keep_completed)"
                )
            return ended
        return _ended_on_record(record)

    async def _record(self, job_id: str) -> JobRecord:
        """Read a job, over one connection for all who ask: they may be hundreds at once."""
        with self._store.errors():
            fields = await self._store.pipelined().execute("HGETALL", self._keys.job(job_id))
        return JobRecord(job_id, dict(zip(fields[::2], fields[1::2], strict=True)))

    async def _ended_in_stream(self, job_id: str, since_ms: int) -> Ended | None:
        """Look a removed job up in what the stream still holds, newest first."""
        newest = "+"
        while True:
            with self._store.errors():
                page = await self._store.client().xrevrange(
                    self._keys.key("events"), max=newest, min=str(since_ms), count=_PAGE
                )
            for _, entry in page:
                ended = read_ended(entry)
                if ended is not None and ended.job_id == job_id:
                    return ended
            if len(page) < _PAGE:
                return None
            newest = f"({page[-1][0]}"

    async def _listen(self) -> None:
        if self._reader is None or self._reader.done():
            self._listening.clear()
            self._reader = asyncio.create_task(
                self._read(), name=f"bullq results of {self._keys.queue}"
            )
        await self._listening.wait()

    def _leave(self, job_id: str, future: asyncio.Future[Ended]) -> None:
        waiters = self._waiters.get(job_id, set())
        waiters.discard(future)
        if not waiters:
            self._waiters.pop(job_id, None)
        if not self._waiters and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read(self) -> None:
        """Read on for as long as somebody waits; every waiter has a deadline of its own."""
        last_id: str | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                client = await self._store.open_blocking(self._keys.client_name(":qe"))
            except (StoreUnavailable, TimeoutError):
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)
                continue
            try:
                if last_id is None:
                    last_id = await self._newest_id()
                else:
                    await self._look_at_records()
                self._listening.set()
                while True:
                    last_id = await self._read_page(client, last_id)
                    pause = _FIRST_PAUSE
            except (StoreUnavailable, TimeoutError):
                await asyncio.sleep(pause)
            except Exception as error:  # noqa: BLE001 - those who wait are told, whatever it is
                self._fail(error)
                return
            finally:
                await client.aclose(close_connection_pool=True)

    async def _look_at_records(self) -> None:
        """Tell what has ended while nobody listened: the stream may have been trimmed since."""
        for job_id in list(self._waiters):
            if ended := _ended_on_record(await self._record(job_id)):
                self._tell(ended)

    def _fail(self, error: Exception) -> None:
        for futures in self._waiters.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    async def _newest_id(self) -> str:
        with self._store.errors():
            newest = await self._store.client().xrevrange(self._keys.key("events"), count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def _read_page(self, client: Any, last_id: str) -> str:
        async with asyncio.timeout(_BLOCK_MS / 1000 + _ANSWER_MARGIN):
            with self._store.errors():
                streams = await client.xread(
                    {self._keys.key("events"): last_id}, count=_PAGE, block=_BLOCK_MS
                )
        for _, entries in streams or []:
            for entry_id, entry in entries:
                last_id = entry_id
                if ended := read_ended(entry):
                    self._tell(ended)
        return last_id

    def _tell(self, ended: Ended) -> None:
        for future in self._waiters.get(ended.job_id, ()):
            if not future.done():
                future.set_result(ended)


def _ended_on_record(record: JobRecord) -> Ended | None:
    if not record.finished_on or record.return_value == ROUTED_VALUE:
        return None
    completed = record.return_value is not None
    value = record.return_value if completed else record.failed_reason
    return Ended(record.id, completed, value or "")

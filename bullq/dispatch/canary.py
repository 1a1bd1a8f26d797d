"""Send a synthetic job per queue and engine every so often, and know what came of it.

A fallback is not used while all is well. So whether it is dead has to be asked before it is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

from bullq.dispatch.ids import new_job_id
from bullq.engines.inngest.messages import Outcome
from bullq.errors import BullqError, StoreUnavailable
from bullq.queues.canary import CANARY, answer_key, canary_queue, expire
from bullq.queues.results import ResultWatcher
from bullq.store.adding import NewJob
from bullq.store.arbiter import live_workers
from bullq.telemetry.hooks import CanaryEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bullq.engines.inngest.events import EventSender
    from bullq.queues.queue import JobQueue
    from bullq.telemetry.hooks import Observer

_DEADLINE = 10.0  # seconds for one canary
_KEEP = 3  # intervals, after which nothing of canaries is left in Redis
_LEAST_KEPT_MS = 60_000
_SHARE = 0.9  # of a canary's time, for which its coming back is waited for
_JITTER = 0.2  # of an interval, so that processes do not ask at the same moment


class Canaries:
    """The canaries of some queues; *sender* is None without Inngest, *every* is in seconds."""

    def __init__(
        self,
        queues: Callable[[], Iterable[JobQueue]],
        sender: EventSender | None,
        every: float,
    ) -> None:
        self._queues = queues
        self._sender = sender
        self._every = every
        self._deadline = min(_DEADLINE, every)
        self._expected: dict[str, asyncio.Future[None]] = {}
        self.last: dict[tuple[str, str], CanaryEvent] = {}
        """What became of the last one, by queue and engine."""

    @property
    def dead(self) -> list[CanaryEvent]:
        """The last ones that did not come back, of engines that could be asked."""
        return [one for one in self.last.values() if one.came is False]

    async def run(self, observer: Observer) -> None:
        """Send canaries for ever."""
        while True:
            await self.send(observer)
            await asyncio.sleep(self._every * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - chance, not secrecy

    async def send(self, observer: Observer) -> list[CanaryEvent]:
        """Send one canary per queue and engine, and tell what became of them."""
        ways = [("bullmq", self._by_bullmq)]
        if self._sender is not None:
            ways.append(("inngest", self._by_inngest))
        told = await asyncio.gather(
            *(self._sent(queue, *way) for queue in self._queues() for way in ways)
        )
        for event in told:
            self.last[event.queue, event.engine] = event
            observer.canary_came(event)
        return list(told)

    async def answer(self, queue: JobQueue, canary_id: str) -> None:
        """Say that Inngest has brought a canary, to whichever process has sent it."""
        expected = self._expected.get(canary_id)
        if expected is not None and not expected.done():
            expected.set_result(None)
        beside = canary_queue(queue)
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(self._deadline):
                with beside.store.errors():
                    await beside.store.client().rpush(answer_key(beside, canary_id), "came")
                await expire(beside, _LEAST_KEPT_MS, [f"answered:{canary_id}"])

    async def _sent(
        self,
        queue: JobQueue,
        engine: str,
        way: Callable[[JobQueue, str], Awaitable[tuple[bool | None, str]]],
    ) -> CanaryEvent:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(2 * self._deadline):
                came, reason = await way(queue, new_job_id())
        except TimeoutError:
            came, reason = False, f"it did not come back within {self._deadline:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why none came
            came, reason = False, str(error)
        took_ms = (loop.time() - began) * 1000
        return CanaryEvent(queue.spec.name, engine, came, took_ms, reason)

    async def _by_bullmq(self, queue: JobQueue, canary_id: str) -> tuple[bool | None, str]:
        beside = canary_queue(queue)
        if not await live_workers(beside.store, beside.keys):
            return None, "no bullq worker that takes canaries is connected"
        came = False
        try:
            await beside.add(NewJob(CANARY, canary_id, "{}"))
            watcher = ResultWatcher(beside.store, beside.keys)
            await watcher.wait(canary_id, self._deadline, since_ms=0)
            came = True
        finally:
            kept_ms = max(_LEAST_KEPT_MS, round(self._every * _KEEP * 1000))
            with contextlib.suppress(BullqError):
                if not came:
                    await beside.jobs.remove(canary_id)
                await expire(beside, kept_ms)
        return True, ""

    async def _by_inngest(self, queue: JobQueue, canary_id: str) -> tuple[bool | None, str]:
        from bullq.engines.inngest.canary import send_canary  # noqa: PLC0415 - the SDK is heavy

        if self._sender is None:
            return None, "there is no Inngest"
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._expected[canary_id] = came
        elsewhere = asyncio.create_task(self._heard(queue, canary_id), name="bullq canary")
        name = queue.spec.name
        try:
            sent = await send_canary(self._sender, name, canary_id, deadline=self._deadline)
            if sent.outcome is Outcome.REFUSED:
                return False, sent.reason
            return await self._came_back(came, elsewhere)
        finally:
            del self._expected[canary_id]
            elsewhere.cancel()

    async def _came_back(
        self, here: asyncio.Future[None], elsewhere: asyncio.Task[bool | None]
    ) -> tuple[bool | None, str]:
        """Wait until a canary has come to this process, or to another one."""
        left = self._deadline * _SHARE
        first = asyncio.FIRST_COMPLETED
        both: list[asyncio.Future[Any]] = [here, elsewhere]
        await asyncio.wait(both, timeout=left, return_when=first)
        if elsewhere.done() and elsewhere.result() is None and not here.done():
            await asyncio.wait([here], timeout=left)
            if not here.done():
                return None, "Redis is away, so that nothing is heard of other processes"
        if here.done() or (elsewhere.done() and elsewhere.result()):
            return True, ""
        return False, f"Inngest was sent it, and nobody has run it within {left:g} s"

    async def _heard(self, queue: JobQueue, canary_id: str) -> bool | None:
        """Wait for the word of another process; None where Redis cannot be asked."""
        beside = canary_queue(queue)
        try:
            client = await beside.store.open_blocking("bullq-canary")
            try:
                with beside.store.errors():
                    return bool(await client.blpop([answer_key(beside, canary_id)], self._deadline))
            finally:
                await client.aclose(close_connection_pool=True)
        except (StoreUnavailable, TimeoutError):
            return None

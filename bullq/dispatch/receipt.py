"""What dispatch gives back: a job's id, where it went, and the ways to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bullq.clock import Duration, to_ms
from bullq.dispatch.whereabouts import CANCELLED
from bullq.errors import JobFailed, ResultGone, ResultTimeout, StoreUnavailable
from bullq.jobs.dispatching import Receipt
from bullq.queues.inspect import job_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from bullq.dispatch.errand import Arrival
    from bullq.dispatch.whereabouts import Whereabouts
    from bullq.jobs.definition import JobDefinition
    from bullq.protocol.events import Ended
    from bullq.queues.queue import JobQueue
    from bullq.queues.results import ResultWatcher

_LOOK_AGAIN = 0.2  # seconds; a job that is not on BullMQ has no record before it begins

ResultT_co = TypeVar("ResultT_co", covariant=True)


class Waiting(Protocol):
    """What leads a receipt to its job, from whatever event loop or thread it is asked."""

    def here(self, queue_name: str) -> tuple[JobQueue, ResultWatcher]:
        """Give a queue, and who waits for its results, on the running event loop."""
        ...

    def whereabouts(self) -> Whereabouts:
        """Give who knows where jobs are that were handed over."""
        ...

    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run the coroutine that *call* makes from code without an event loop, and wait."""
        ...


class BullmqReceipt(Receipt[ResultT_co]):
    """The receipt of one job; *since_ms* is before it was sent, by the server's clock."""

    engine = "bullmq"

    def __init__(
        self, waiting: Waiting, job: JobDefinition[Any, ResultT_co], job_id: str, since_ms: int
    ) -> None:
        self.id = job_id
        self._waiting = waiting
        self._job = job
        self._since_ms = since_ms

    @property
    def queue(self) -> str:  # type: ignore[override] # read only here
        """The queue it is on."""
        return self._job.queue

    @property
    def name(self) -> str:  # type: ignore[override] # read only here
        """The job's name."""
        return self._job.name

    def __repr__(self) -> str:
        return f"<Receipt {self.queue}/{self.name} {self.id} on {self.engine}>"

    async def result(self, timeout: Duration = 30) -> ResultT_co:  # noqa: ASYNC109 - by contract
        """Wait for the job's result, at most *timeout*."""
        seconds = to_ms(timeout) / 1000
        try:
            ended = await self._ended(seconds)
        except TimeoutError:
            raise ResultTimeout(
                f"Job {self.id} ({self.queue}/{self.name}) did not end within {seconds:g} s; "
                f"it goes on: 'bullq jobs show {self.id}'"
            ) from None
        if not ended.completed:
            raise JobFailed(self.id, ended.value)
        return self._job.result.decode(ended.value)

    async def _ended(self, seconds: float) -> Ended:
        _, watcher = self._waiting.here(self.queue)
        return await watcher.wait(self.id, seconds, since_ms=self._since_ms)

    def result_sync(self, timeout: Duration = 30) -> ResultT_co:
        """Wait for the job's result from code without an event loop."""
        result: ResultT_co = self._waiting.run_sync(lambda: self.result(timeout))
        return result

    async def status(self) -> str:
        """Tell the job's state."""
        queue, _ = self._waiting.here(self.queue)
        return (await job_state(queue, self.id)).value

    async def cancel(self) -> None:
        """Remove the job from its queue before it begins."""
        queue, _ = self._waiting.here(self.queue)
        await queue.jobs.remove(self.id)


class HandoffReceipt(BullmqReceipt[ResultT_co]):
    """The receipt of a job that was handed to one of several engines."""

    def __init__(
        self,
        waiting: Waiting,
        job: JobDefinition[Any, ResultT_co],
        arrival: Arrival,
        since_ms: int,
    ) -> None:
        super().__init__(waiting, job, arrival.job_id, since_ms)
        self.engine = arrival.engine
        self.state = arrival.state
        self.reason = arrival.reason
        self.timings = arrival.timings
        self._is_cancelled = False

    async def status(self) -> str:
        """Tell the job's state, whichever engine has it by now."""
        queue, _ = self._waiting.here(self.queue)
        place = await self._waiting.whereabouts().find(queue, self.id, self.engine)
        return place.state

    async def cancel(self) -> None:
        """Take the job back from whichever engine has it by now."""
        queue, _ = self._waiting.here(self.queue)
        await self._waiting.whereabouts().take_back(queue, self.id, self.engine)
        self._is_cancelled = True

    async def _ended(self, seconds: float) -> Ended:
        """Wait for the end of a job whose record may come late, and whose store may be away."""
        if self._is_cancelled:
            raise JobFailed(self.id, CANCELLED)
        if self.engine == "bullmq":
            return await super()._ended(seconds)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            try:
                return await super()._ended(max(0.0, until - loop.time()))
            except (ResultGone, StoreUnavailable):
                if loop.time() + _LOOK_AGAIN >= until:
                    raise TimeoutError from None
            await asyncio.sleep(_LOOK_AGAIN)

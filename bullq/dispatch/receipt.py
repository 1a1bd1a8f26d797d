"""What dispatch gives back for a job on BullMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bullq.clock import Duration, to_ms
from bullq.errors import JobFailed, ResultTimeout
from bullq.jobs.dispatching import Receipt
from bullq.queues.inspect import job_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from bullq.jobs.definition import JobDefinition
    from bullq.queues.queue import JobQueue
    from bullq.queues.results import ResultWatcher

ResultT_co = TypeVar("ResultT_co", covariant=True)


class BullmqReceipt(Receipt[ResultT_co]):
    """The receipt of one job; *sent_ms* is when it was sent, by this machine's clock."""

    engine = "bullmq"

    def __init__(
        self,
        job: JobDefinition[Any, ResultT_co],
        job_id: str,
        sent_ms: int,
        here: Callable[[], tuple[JobQueue, ResultWatcher]],
        run_sync: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self.id = job_id
        self.queue = job.queue
        self.name = job.name
        self._job = job
        self._sent_ms = sent_ms
        self._here = here
        self._run_sync = run_sync

    def __repr__(self) -> str:
        return f"<Receipt {self.queue}/{self.name} {self.id} on {self.engine}>"

    async def result(self, timeout: Duration = 30) -> ResultT_co:  # noqa: ASYNC109 - by contract
        """Wait for the job's result, at most *timeout*."""
        _, watcher = self._here()
        seconds = to_ms(timeout) / 1000
        try:
            ended = await watcher.wait(self.id, seconds, since_ms=self._sent_ms)
        except TimeoutError:
            raise ResultTimeout(
                f"Job {self.id} ({self.queue}/{self.name}) did not end within {seconds:g} s; "
                f"it goes on: 'bullq jobs show {self.id}'"
            ) from None
        if not ended.completed:
            raise JobFailed(self.id, ended.value)
        return self._job.result.decode(ended.value)

    def result_sync(self, timeout: Duration = 30) -> ResultT_co:
        """Wait for the job's result from code without an event loop."""
        result: ResultT_co = self._run_sync(lambda: self.result(timeout))
        return result

    async def status(self) -> str:
        """Tell the job's state."""
        queue, _ = self._here()
        return (await job_state(queue, self.id)).value

"""Where a job's function runs: on the event loop, in a thread, or in a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullq.engines.threads import ThreadPool
from bullq.errors import ResultError
from bullq.worker.processes import ProcessPool
from bullq.worker.rejection import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from bullq.jobs.context import Context
    from bullq.jobs.job import Job
    from bullq.worker.processes import JobProcess


class Executors:
    """The places of one worker; each is made at its first use."""

    def __init__(self, concurrency: int) -> None:
        self._threads = ThreadPool(concurrency)
        self._processes = ProcessPool(concurrency)

    def process(self, job: Job[Any, Any]) -> AbstractAsyncContextManager[JobProcess]:
        """Wait for a process that can run *job*, and keep it until the context ends.

        Cancelling its call kills it.
        """
        return self._processes.place(job)

    async def call(self, job: Job[Any, Any], data: Any, context: Context | None) -> str:
        """Run a job's function here and give its result as JSON text.

        A coroutine function runs on the event loop. Any other runs in a thread, which nobody can
        stop: when this is cancelled, the thread goes on and what it gives is dropped.
        Raises what the function raises, and Rejected where JSON cannot hold its result.
        """
        arguments = (data, context) if job.takes_context else (data,)
        if job.is_async:
            value = await job.function(*arguments)
        else:
            label = f"bullq {job.queue}/{job.name}"
            value = await self._threads.call(label, job.function, arguments)
        try:
            return job.result.encode(value)
        except ResultError as error:
            raise Rejected(error) from None

    async def in_thread(
        self, label: str, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """Call any function in a thread that is named *label* meanwhile; give what it returns."""
        return await self._threads.call(label, function, arguments)

    async def aclose(self) -> None:
        """End idle threads and all processes."""
        self._threads.close()
        await self._processes.aclose()

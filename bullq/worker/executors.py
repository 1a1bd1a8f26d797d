"""Where a job's function runs: on the event loop, or in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bullq.jobs.context import Context
    from bullq.jobs.job import Job


async def call(job: Job[Any, Any], data: Any, context: Context | None) -> Any:
    """Run a job's function and give its result.

    A coroutine function runs here. Any other runs in a thread of its own, which nobody can stop:
    when this is cancelled, the thread goes on and what it gives is dropped.
    """
    arguments = (data, context) if job.takes_context else (data,)
    if job.is_async:
        return await job.function(*arguments)
    return await _in_thread(job, arguments)


async def _in_thread(job: Job[Any, Any], arguments: tuple[Any, ...]) -> Any:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    scope = contextvars.copy_context()

    def run() -> None:
        try:
            result = scope.run(job.function, *arguments)
        except BaseException as error:  # noqa: BLE001 - all that a job raises is its outcome
            tell(future.set_exception, _carriable(error))
        else:
            tell(future.set_result, result)

    def tell(settle: Callable[[Any], None], outcome: Any) -> None:
        def unless_cancelled() -> None:
            if not future.done():
                settle(outcome)

        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            loop.call_soon_threadsafe(unless_cancelled)

    # A daemon, unlike the threads of a pool: one that hangs must not keep the process from
    # ending when its time is up.
    threading.Thread(target=run, name=f"bullq {job.queue}/{job.name}", daemon=True).start()
    return await future


def _carriable(error: BaseException) -> BaseException:
    """Give an error that a future can carry: these two have a meaning of their own to coroutines.

    asyncio refuses StopIteration, and GeneratorExit would end those that wait for the job.
    """
    if isinstance(error, StopIteration | GeneratorExit):
        carried = RuntimeError(f"the job raised {type(error).__name__}")
        carried.__cause__ = error
        return carried
    return error

"""The blocking forms of a context's steps, for the threads that run sync jobs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
from collections.abc import Awaitable, Callable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from bullq.engines.calls import CALLING_THREAD
from bullq.engines.engine import Interrupt
from bullq.engines.threads import carriable
from bullq.jobs.blocking import BlockingSteps

if TYPE_CHECKING:
    from datetime import datetime

    from bullq.clock import Duration
    from bullq.engines.calls import InThread
    from bullq.errors import StepMisuse
    from bullq.jobs.context import Context
    from bullq.jobs.invocable import Invocable

_Call = tuple[contextvars.Context, Callable[[], Any], "concurrent.futures.Future[Any]"]


class Waiting(BlockingSteps):
    """Has each step made on the event loop, and lends it the calling thread meanwhile.

    So a step's ordinary function runs in the same thread as its job, where what belongs to a
    thread, such as a database session, is at hand.
    """

    def __init__(
        self,
        context: Context,
        loop: asyncio.AbstractEventLoop,
        in_thread: InThread,
        refuse: Callable[[str], StepMisuse],
    ) -> None:
        self._context = context
        self._loop = loop
        self._in_thread = in_thread
        self._refuse = refuse

    def run(self, step: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call *function* once and give what it returns."""
        return self._wait(step, partial(self._context.run, step, function, *args, **kwargs))

    def sleep(self, step: str, duration: Duration) -> None:
        """Pause for *duration*."""
        self._wait(step, partial(self._context.sleep, step, duration))

    def sleep_until(self, step: str, time: datetime) -> None:
        """Pause until *time*."""
        self._wait(step, partial(self._context.sleep_until, step, time))

    def parallel(self, *branches: Callable[[], Any]) -> tuple[Any, ...]:
        """Run branches at once, each in a thread of its own."""
        in_threads = [partial(self._in_thread, branch) for branch in branches]
        made: tuple[Any, ...] = self._wait(
            "ctx.sync.parallel", partial(self._context.parallel, *in_threads)
        )
        return made

    def dispatch(self, step: str, job: Invocable[Any, Any], payload: Any) -> str:
        """Queue another job and give its id."""
        return str(self._wait(step, partial(self._context.dispatch, step, job, payload)))

    def invoke(self, step: str, job: Invocable[Any, Any], payload: Any) -> Any:
        """Queue another job and give its result."""
        return self._wait(step, partial(self._context.invoke, step, job, payload))

    def wait_for(self, step: str, event: str, timeout: Duration, type: Any = Any) -> Any:  # noqa: A002
        """Wait for an event sent to this job."""
        return self._wait(step, partial(self._context.wait_for, step, event, timeout, type))

    def once(self, key: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Do the same as run(), once for all jobs of the queue."""
        return self._wait(key, partial(self._context.once, key, function, *args, **kwargs))

    def _wait(self, step: str, make: Callable[[], Awaitable[Any]]) -> Any:
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - as in context.py
            raise self._refuse(
                f"The step {step!r}: ctx.sync would block the event loop; an async job awaits "
                "ctx.run(...), ctx.sleep(...)"
            )
        calls: SimpleQueue[_Call | None] = SimpleQueue()

        async def in_calling_thread(function: Callable[[], Any]) -> Any:
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            calls.put((contextvars.copy_context(), function, future))
            return await asyncio.wrap_future(future)

        async def on_the_loop() -> Any:
            CALLING_THREAD.set(in_calling_thread)
            return await make()

        made = asyncio.run_coroutine_threadsafe(on_the_loop(), self._loop)
        made.add_done_callback(lambda _: calls.put(None))
        while (asked := calls.get()) is not None:
            _answer(*asked)
        try:
            return made.result()
        except concurrent.futures.CancelledError:
            raise Interrupt("the attempt has ended while this thread went on") from None


def _answer(
    scope: contextvars.Context,
    function: Callable[[], Any],
    future: concurrent.futures.Future[Any],
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = scope.run(function)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the step is told
        future.set_exception(carriable(error))
    else:
        future.set_result(result)

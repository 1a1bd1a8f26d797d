"""Daemon threads for sync jobs, used again and again; one that hangs is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

_Task = Callable[[], Callable[[], None]]
"""Makes a call and gives what tells its outcome."""


class ThreadPool:
    """Calls functions in threads, up to *size* of which wait for the next call.

    It has no limit of its own: whoever runs jobs calls no more of them at once than it has slots.
    With a limit, jobs whose branches wait for threads could hold all of them. A job whose time is
    up gives its slot back while its thread goes on, and the next job gets another thread. They are
    daemons, unlike those of concurrent.futures: one that hangs must not keep the
    process from ending when its time is up.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: deque[_Thread] = deque()
        self._closed = False

    async def call(
        self, label: str, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """Call *function* in a thread that is named *label* meanwhile; give what it returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        scope = contextvars.copy_context()

        def task() -> Callable[[], None]:
            threading.current_thread().name = label
            try:
                result = scope.run(function, *arguments)
            except BaseException as error:  # noqa: BLE001 - all that a job raises is its outcome
                return partial(tell, future.set_exception, carriable(error))
            return partial(tell, future.set_result, result)

        def tell(settle: Callable[[Any], None], outcome: Any) -> None:
            def unless_cancelled() -> None:
                if not future.done():
                    settle(outcome)

            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(unless_cancelled)

        self._take().tasks.put(task)
        return await future

    def close(self) -> None:
        """End the threads that wait, and the others after their calls."""
        self._closed = True
        while self._idle:
            self._idle.pop().tasks.put(None)

    def _take(self) -> _Thread:
        try:
            return self._idle.pop()  # the one that was busy last: its memory is warm
        except IndexError:
            return _Thread(self._give_back)

    def _give_back(self, thread: _Thread) -> bool:
        """Take a thread back for the next call; tell whether it is wanted."""
        if self._closed or len(self._idle) >= self._size:
            return False
        self._idle.append(thread)
        return True


class _Thread:
    """One thread and the calls it is given."""

    def __init__(self, give_back: Callable[[_Thread], bool]) -> None:
        self.tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._give_back = give_back
        threading.Thread(target=self._run, name="bullq thread", daemon=True).start()

    def _run(self) -> None:
        wanted = True
        while wanted and (task := self.tasks.get()) is not None:
            tell = task()
            threading.current_thread().name = "bullq thread"
            # First, so that the call that follows on the outcome finds this thread free.
            wanted = self._give_back(self)
            tell()
            del task, tell  # and with them what the job may have left, such as a big result


def carriable(error: BaseException) -> BaseException:
    """Give an error that a future can carry: these two have a meaning of their own to coroutines.

    asyncio refuses StopIteration, and GeneratorExit would end those that wait for the job.
    """
    if isinstance(error, StopIteration | GeneratorExit):
        carried = RuntimeError(f"the job raised {type(error).__name__}")
        carried.__cause__ = error
        return carried
    return error

"""Ask for many in one call: what many callers want in one turn of the event loop goes together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


class Together(Generic[In, Out]):
    """Collects what is asked for, and answers it by calls of at most *most* each, in order.

    *call* gives as many answers as it is given questions, an error where one of them has none; or
    it raises an error that all of them get.
    """

    def __init__(
        self,
        call: Callable[[Sequence[In]], Awaitable[Sequence[Out | Exception]]],
        *,
        most: int,
        name: str,
    ) -> None:
        self._call = call
        self._most = most
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self._calls: set[asyncio.Task[None]] = set()

    def ask(self, one: In) -> asyncio.Future[Out]:
        """Ask for one; who no longer wants the answer cancels the future."""
        answer: asyncio.Future[Out] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._begin)
        self._waiting.append((one, answer))
        return answer

    def _begin(self) -> None:
        waiting = [one for one in self._waiting if not one[1].done()]
        self._waiting = []
        for start in range(0, len(waiting), self._most):
            task = self._loop.create_task(
                self._make(waiting[start : start + self._most]), name=self._name
            )
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _make(self, batch: list[tuple[In, asyncio.Future[Out]]]) -> None:
        try:
            answers = await self._call([one for one, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers'
            answers = [error] * len(batch)
        except BaseException:  # it is cancelled: nobody will answer any more
            for _, answer in batch:
                answer.cancel()
            raise
        for (_, answer), given in zip(batch, answers, strict=True):
            if answer.done():
                continue  # its caller has gone
            if isinstance(given, Exception):
                answer.set_exception(given)
            else:
                answer.set_result(given)

"""Records the steps of one queue's jobs: what many jobs record at once goes in one call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from bullq.errors import ActionRefused, DispatchInDoubt, JobNotFound, StoreUnavailable
from bullq.protocol.codes import LOST_OWNERSHIP, Code
from bullq.protocol.record import to_json
from bullq.store.steps import StepRecord, StepScripts

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store

T = TypeVar("T")

MOST_PER_CALL = 50
"""Records in one call at most: it holds Redis for about 1 ms."""

_MOST_BYTES = 1_000_000
"""What one call may carry, but for a single record that is bigger."""

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.5  # seconds between attempts while Redis does not serve

Answer = int | str
"""0 where it is on record, negative where the worker has lost the job, '=' and what was there."""


def event_field(number: int) -> str:
    """Name the field of a job's hash that keeps an event, numbered from 1."""
    return f"event:{number}"


class StepLog:
    """Writes in order, one call at a time, and waits out an outage of Redis.

    Sending a record again is safe: it sets the same fields, and a job that was parked is refused
    because its lock is gone.
    """

    def __init__(self, store: Store, keys: QueueKeys) -> None:
        self._store = store
        self._keys = keys
        self.scripts = StepScripts(store.pipelined(), keys)
        self._waiting: deque[tuple[StepRecord, asyncio.Future[Answer]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def record(self, record: StepRecord) -> Answer:
        """Put something of a job on record, and give Redis' answer.

        Raises RuntimeError where Redis finds the job's record broken.
        """
        written: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="bullq steps")
        return await written

    async def find_effect(self, key: str) -> str | None:
        """Give the result that is on record for an effect, None where there is none."""
        client, name = self._store.client(), self._keys.key(f"once:={key}")
        found: str | None = await self.served(lambda: client.get(name))
        return found

    async def child_state(self, parent_key: str, child_id: str) -> tuple[str, str]:
        """Tell how a job of this queue stands that is the child of another."""
        return await self.served(lambda: self.scripts.child_state(parent_key, child_id))

    async def served(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that bears repetition until Redis serves it.

        A job that waits here ends when its worker has lost it, which no outage outlasts.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                with self._store.errors():
                    return await call()
            except (StoreUnavailable, DispatchInDoubt):
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)

    async def events_after(self, job_id: str, number: int) -> dict[int, str]:
        """Give the events that a job was sent after the one of that number, as they are kept."""
        client, name = self._store.client(), self._keys.job(job_id)
        sent = int(await self.served(lambda: client.hget(name, "sent")) or 0)
        numbers = range(number + 1, sent + 1)
        if not numbers:
            return {}
        fields = [event_field(one) for one in numbers]
        texts = await self.served(lambda: client.hmget(name, fields))
        return {one: text for one, text in zip(numbers, texts, strict=True) if text is not None}

    async def send_event(self, job_id: str, event: str, payload: str) -> None:
        """Keep an event, its payload as JSON text, for a job; wake the job where it waits for one.

        Raises JobNotFound, ActionRefused for a job that has ended, StoreUnavailable.
        """
        text = f'{{"name":{to_json(event)},"payload":{payload}}}'
        with self._store.errors():
            answer = await self.scripts.send_event(job_id, text)
        queue = self._keys.queue
        if answer == Code.JOB_NOT_EXIST:
            raise JobNotFound(f"The event {event!r}: the queue {queue!r} has no job {job_id}")
        if answer < 0:
            raise ActionRefused(f"The event {event!r}: the job {job_id} has ended already")

    async def _write(self) -> None:
        while self._waiting:
            batch = self._next_batch()
            try:
                answers = await self._call(batch)
            except BaseException as error:
                for _, written in batch:
                    if not written.done():
                        written.set_exception(RuntimeError(f"steps cannot be recorded: {error}"))
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, written), answer in zip(batch, answers, strict=True):
                if written.done():
                    continue  # its job has been stopped
                if isinstance(answer, str) and answer.startswith("!"):
                    written.set_exception(RuntimeError(f"Redis cannot record it: {answer[1:]}"))
                else:
                    written.set_result(answer)

    def _next_batch(self) -> list[tuple[StepRecord, asyncio.Future[Answer]]]:
        batch = [self._waiting.popleft()]
        size = batch[0][0].size
        while self._waiting and len(batch) < MOST_PER_CALL:
            size += self._waiting[0][0].size
            if size > _MOST_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _call(self, batch: list[tuple[StepRecord, asyncio.Future[Answer]]]) -> list[Answer]:
        pause = _FIRST_PAUSE
        in_doubt = False
        while True:
            try:
                with self._store.errors():
                    answers = await self.scripts.record_steps([record for record, _ in batch])
            except StoreUnavailable as error:
                in_doubt = in_doubt or error.in_doubt
                if all(written.done() for _, written in batch):
                    return [0] * len(batch)  # nobody waits any more
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)
                continue
            if not in_doubt:
                return answers
            return [
                0 if record.park and answer in LOST_OWNERSHIP else answer
                for (record, _), answer in zip(batch, answers, strict=True)
            ]

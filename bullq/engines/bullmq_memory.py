"""Where BullMQ jobs keep their steps: in the job's own hash, written under the worker's lock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import bullmq

from bullq.engines.ending import Lost
from bullq.engines.engine import PERMANENT
from bullq.engines.memo import PREFIX
from bullq.engines.memory import ChildState, Memory
from bullq.jobs.dispatching import DispatchOptions, current_dispatcher
from bullq.jobs.retry import wait_after
from bullq.protocol.record import read_json, to_json
from bullq.queues.options import job_options
from bullq.queues.steplog import event_field
from bullq.store.adding import JobKind, NewJob
from bullq.store.steps import FieldTimer, StepRecord

if TYPE_CHECKING:
    from bullq.engines.engine import Child
    from bullq.engines.pause import Pause
    from bullq.jobs.definition import JobDefinition
    from bullq.protocol.record import JobRecord
    from bullq.queues.queue import JobQueue

SHORTEST_PAUSE_MS = 1_000
"""A shorter pause costs less in place than a slot given up and a job claimed again."""

KEEP_EFFECTS_MS = 30 * 24 * 60 * 60 * 1_000

UNRECOVERABLE = (*PERMANENT, bullmq.UnrecoverableError)
"""What fails a job, or its step, without the attempts that are left."""

_LOOKS = "looks"
_FIRST_LOOK_MS, _LAST_LOOK_MS = 500, 30_000

_PARK_DEADLINE = 5.0  # seconds for a pause to be recorded once its worker stops


class BullmqMemory(Memory):
    """The steps of one claimed job. What was on record came with the claim.

    *began* is when it was claimed, by this machine's monotonic clock (s).
    """

    def __init__(self, queue: JobQueue, record: JobRecord, token: str, began: float) -> None:
        self.attempts = record.attempts
        self.permanent = UNRECOVERABLE
        self.shortest_pause_ms = SHORTEST_PAUSE_MS
        self._queue = queue
        self._record = record
        self._token = token
        # A step that finishes after a crash was not its cause: stalls count anew from here.
        self._forgive = {"stc": "0"} if record.stalled_count else {}
        self._began = began
        self._sent = int(record.fields.get("sent", 0))
        self._events = {
            number: record.fields.get(event_field(number), "{}")
            for number in range(1, self._sent + 1)
        }

    def now_ms(self) -> int:
        """Give the time by Redis' clock: when the job was claimed, and what has passed since."""
        return self._record.processed_on + int((time.monotonic() - self._began) * 1000)

    def is_over(self, until_ms: int) -> bool:
        """Tell whether a time has come, or somebody has promoted the job that waited for it."""
        return until_ms <= max(self.now_ms(), self._promoted_ms)

    def wait_ms(self, error: BaseException, attempts_made: int) -> int | None:
        """Give the wait after a failed attempt, by the job's own backoff."""
        return wait_after(error, self._record.options.get("backoff"), attempts_made)

    async def record(self, entries: Mapping[str, str]) -> None:
        """Put memo entries on record."""
        fields = _fields(entries) | self._forgive
        await self._write(StepRecord(job_id=self._record.id, token=self._token, fields=fields))
        self._forgive = {}

    async def sleep(self, milliseconds: int) -> None:
        """Pause in place."""
        await asyncio.sleep(milliseconds / 1000)

    async def dispatch(self, child: Child) -> None:
        """Queue a child by the application's dispatcher, which knows all engines."""
        job = cast("JobDefinition[Any, Any]", child.job)
        await current_dispatcher().dispatch(job, child.payload, DispatchOptions(id=child.id))

    async def child(self, child: Child, *, asked: bool) -> ChildState:
        """Tell how a child stands, queueing it under this job where it is not there."""
        queue = self._queue.sibling(child.job.queue)
        parent = self._queue.keys.job(self._record.id)
        state, value = await queue.steps.child_state(parent, child.id)
        if state == "completed":
            return ChildState(completed=value)
        if state == "failed":
            return ChildState(failed=value)
        if state == "absent" and asked:
            return ChildState(failed="somebody has removed the job before it ended")
        if state == "absent":
            new = self._new(queue, child)
            await queue.steps.served(lambda: queue.add(new))
        return ChildState()

    async def look_for_events(self) -> None:
        """Get the events that have come since the job was claimed."""
        self._events |= await self._queue.steps.events_after(self._record.id, self._sent)
        self._sent = max(self._events, default=0)

    def events(self, name: str) -> Iterable[tuple[int, str]]:
        """Give the events of that name that had come when it was looked for them."""
        for number, text in self._events.items():
            event = read_json(text)
            if event.get("name") == name:
                yield number, to_json(event.get("payload"))

    async def find_effect(self, key: str) -> str | None:
        """Give the result that is recorded for an effect."""
        return await self._queue.steps.find_effect(key)

    async def record_effect(self, key: str, result: str, entries: Mapping[str, str]) -> str:
        """Record an effect's result, with memo entries, unless there is one."""
        answer = await self._write(
            StepRecord(
                job_id=self._record.id,
                token=self._token,
                fields=_fields(entries),
                effect=(key, result, KEEP_EFFECTS_MS),
            )
        )
        return answer[1:] if isinstance(answer, str) else result

    async def park(self, pause: Pause, entries: Mapping[str, str]) -> None:
        """Let go of the job until what *pause* waits for; raises Lost where it is not ours.

        A worker that stops waits for that to be on record: cut short, the job could be both.
        """
        timers = [
            FieldTimer(PREFIX + one.key, one.head, one.delay_ms, one.at_ms)
            for one in pause.all_timers
        ]
        if timers and pause.children:
            timers.append(self._next_look())
        record = StepRecord(
            job_id=self._record.id,
            token=self._token,
            fields=_fields(entries) | self._forgive,
            park="delayed" if timers else "children",
            timers=timers,
            failed=bool(pause.retries),
            sent=self._sent if pause.events else None,
        )
        writing = asyncio.ensure_future(self._write(record))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing], timeout=_PARK_DEADLINE)
            if not writing.done():
                writing.cancel()
                raise
            writing.result()

    def _next_look(self) -> FieldTimer:
        """Give when to look after children, whose end wakes no job that waits in 'delayed'."""
        stored = read_json(self._record.fields.get(_LOOKS, "{}"))
        looks = int(stored.get("looks", 0))
        delay_ms = min(_FIRST_LOOK_MS * 2 ** min(looks, 16), _LAST_LOOK_MS)
        return FieldTimer(_LOOKS, f'{{"looks":{looks + 1},"until":', delay_ms)

    @property
    def _promoted_ms(self) -> int:
        """Until when the job was to wait, where it was taken out of 'delayed' before; else 0."""
        parked = int(self._record.fields.get("parked", 0))
        return parked if parked > self._record.processed_on else 0

    async def _write(self, record: StepRecord) -> int | str:
        answer = await self._queue.steps.record(record)
        if isinstance(answer, int) and answer < 0:
            self.lost = Lost(f"the steps of job {self._record.id} are no longer this worker's")
            raise self.lost
        return answer

    def _new(self, queue: JobQueue, child: Child) -> NewJob:
        job = cast("JobDefinition[Any, Any]", child.job)
        options: Any = job_options(job, queue.spec)
        options["parent"] = {"id": self._record.id, "queue": self._queue.keys.base[:-1]}
        # A child that fails lets its parent go on: what comes of it is for the parent to say.
        options["ignoreDependencyOnFailure"] = True
        return NewJob(JobKind(job.name, options), child.id, job.payload.write(child.payload))


def _fields(entries: Mapping[str, str]) -> dict[str, str]:
    return {PREFIX + key: text for key, text in entries.items()}

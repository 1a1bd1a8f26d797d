"""What jobs of the inline engine see, and where their steps are kept: in the process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from bullq.engines.memo import PREFIX, Memo
from bullq.engines.memory import ChildState, Memory
from bullq.engines.replaying import ReplayContext
from bullq.jobs.failure import sendable
from bullq.jobs.retry import wait_after

if TYPE_CHECKING:
    from bullq.engines.calls import InThread
    from bullq.engines.engine import Child
    from bullq.engines.inline_job import InlineJob
    from bullq.engines.inline_store import InlineStore
    from bullq.engines.pause import Pause
    from bullq.jobs.job import Job


class InlineContext(ReplayContext):
    """One attempt of one job."""

    engine = "inline"

    def __init__(self, store: InlineStore, job: InlineJob, in_thread: InThread) -> None:
        self.job_id = job.id
        self.queue = job.job.queue
        self.name = job.job.name
        self.job_attempt = job.attempts_made + 1
        self.max_attempts = job.attempts
        self.fence = job.claims
        self.loop = asyncio.get_running_loop()
        self.step_timeout_ms = store.timeout_ms(job.job)
        self.in_thread = in_thread
        self._store = store
        self._job = job

    @property
    def cancelled(self) -> bool:
        """Whether the job should stop: it was killed, or its time is up."""
        return self._job.killed or self.ended

    def log(self, message: str) -> None:
        """Keep a row, unless an earlier run of the body has."""
        if not self.repeats:
            self._job.logs.append(sendable(str(message)))

    def progress(self, value: Any) -> None:
        """Keep how far the job is."""
        if not self.repeats:
            self._job.progress = json.loads(json.dumps(value, allow_nan=False))

    def open_memo(self) -> tuple[Memo, InlineMemory]:
        """Give what is on record of the job's steps."""
        memo = Memo(self._job.fields, self._job.attempts_made)
        return memo, InlineMemory(self._store, self._job)


class InlineMemory(Memory):
    """The steps of one job."""

    shortest_pause_ms = 1

    def __init__(self, store: InlineStore, job: InlineJob) -> None:
        self.attempts = job.attempts
        self._store = store
        self._job = job

    def now_ms(self) -> int:
        """Give the virtual time."""
        return self._store.now_ms

    def wait_ms(self, error: BaseException, attempts_made: int) -> int | None:
        """Give the wait after a failed attempt, by the job's backoff."""
        return wait_after(error, self._job.backoff, attempts_made)

    async def record(self, entries: Mapping[str, str]) -> None:
        """Keep memo entries."""
        self._job.fields.update({PREFIX + key: text for key, text in entries.items()})

    async def sleep(self, milliseconds: int) -> None:
        """Pause in place: for no time at all, where a millisecond leaves the body."""

    async def dispatch(self, child: Child) -> None:
        """Queue a child that goes on by itself."""
        self._store.add(cast("Job[Any, Any]", child.job), child.payload, child.id)

    async def child(self, child: Child, *, asked: bool) -> ChildState:
        """Tell how a child stands, queueing it where it is not there."""
        known = self._store.jobs.get(child.id)
        if known is None and asked:
            return ChildState(failed="somebody has removed the job before it ended")
        if known is None:
            job = cast("Job[Any, Any]", child.job)
            self._store.add(job, child.payload, child.id, parent=self._job.id)
            return ChildState()
        return ChildState(completed=known.result, failed=known.failure)

    async def look_for_events(self) -> None:
        """Do nothing: they are at hand."""

    def events(self, name: str) -> Iterable[tuple[int, str]]:
        """Give the events of that name sent so far."""
        for number, (event, payload) in enumerate(self._job.events, start=1):
            if event == name:
                yield number, payload

    async def find_effect(self, key: str) -> str | None:
        """Give the result that is kept for an effect."""
        return self._store.effects.get((self._job.job.queue, key))

    async def record_effect(self, key: str, result: str, entries: Mapping[str, str]) -> str:
        """Keep an effect's result, with memo entries, unless there is one."""
        counts = self._store.effects.setdefault((self._job.job.queue, key), result)
        if counts == result:
            await self.record(entries)
        return counts

    async def park(self, pause: Pause, entries: Mapping[str, str]) -> None:
        """Keep memo entries, and let go of the job."""
        await self.record(entries)
        due = []
        for timer in pause.all_timers:
            at = self._store.now_ms + timer.delay_ms if timer.at_ms is None else timer.at_ms
            self._job.fields[PREFIX + timer.key] = f"{timer.head}{at}}}"
            due.append(at)
        self._job.attempts_made += bool(pause.retries)
        self._job.waits_for_events = pause.events
        self._job.waits_for_children = pause.children
        if due:
            self._store.delay(self._job, min(due))
        else:
            self._store.await_children(self._job)

"""The steps of a job by replay: what is on record is given again, what is not is done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from bullq.engines.calls import step_failure
from bullq.engines.engine import Branch, Call, Child, Interrupt, Step, Steps
from bullq.engines.memo import Entry, Memo, error_text, result_text
from bullq.engines.memory import Memory
from bullq.engines.pause import Pause, StepRetry, Timer
from bullq.errors import StepFailed, StepMisuse
from bullq.jobs.failure import is_one_of

_CARRIED = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What a task must not raise: it would end the event loop, and with it all other jobs."""


class Replay(Steps):
    """The port over a memo of this job's steps and the place that keeps it (memory.py)."""

    def __init__(self, memo: Memo, memory: Memory) -> None:
        self.memo = memo
        self.memory = memory
        self._pauses: list[Pause] = []

    def repeats(self, line: str) -> bool:
        """Tell whether a line of steps repeats what an earlier run did."""
        return self.memo.repeats(line)

    @property
    def attempt(self) -> int:
        """Which attempt of the body this is, counted since the last step that finished."""
        return self.memo.body_failures + 1

    @property
    def pause(self) -> Pause | None:
        """The pause that the body was left for, None where it was not."""
        return Pause.of(self._pauses) if self._pauses else None

    def check(self) -> None:
        """Raise again what the caller's line of steps has swallowed."""
        if self.memory.lost is not None:
            raise self.memory.lost
        if pauses := self._here():
            raise Pause.of(pauses)

    async def run(self, step: Step, call: Call) -> str:
        """Give the step's result, calling where it has none."""
        entry = self.memo.take(step.key)
        if entry.is_finished:
            return entry.outcome(step)
        text = await self._attempt(step, entry, call)
        await self._finish(step, result_text(text))
        return text

    async def once(self, step: Step, key: str, call: Call) -> str:
        """Do the same, where no job of the queue has a result under *key*."""
        entry = self.memo.take(step.key)
        if entry.is_finished:
            return entry.outcome(step)
        found = await self.memory.find_effect(key)
        if found is None:
            text = await self._attempt(step, entry, call)
            self.memo.note(step.key, result_text(text))
            with self._unwritten() as entries:
                found = await self.memory.record_effect(key, text, entries)
            if found == text:
                return text
            # Another job was quicker: it is that one's result that counts.
            self.memo.put_back(entries)
            await self._finish(step, result_text(found))
            return found
        self.memo.note(step.key, result_text(found))
        return found

    async def sleep(self, step: Step, milliseconds: int) -> None:
        """Pause, counted from when the step was first made."""
        entry = self.memo.take(step.key)
        if not entry.is_finished:
            timer = Timer(step.key, delay_ms=milliseconds, at_ms=entry.until)
            await self._sleep(step, entry, timer, milliseconds)

    async def sleep_until(self, step: Step, at_ms: int) -> None:
        """Pause until *at_ms*."""
        entry = self.memo.take(step.key)
        if not entry.is_finished:
            timer = Timer(step.key, at_ms=entry.until or at_ms)
            await self._sleep(step, entry, timer, at_ms - self.memory.now_ms())

    async def dispatch(self, step: Step, child: Child) -> str:
        """Queue the child and give its id."""

        async def send(_: int) -> str:
            await self.memory.dispatch(child)
            return f'"{child.id}"'

        return (await self.run(step, send))[1:-1]

    async def invoke(self, step: Step, child: Child) -> str:
        """Queue the child and give its result."""
        entry = self.memo.take(step.key)
        if entry.is_finished:
            return entry.outcome(step)
        if entry.round:
            child = Child(f"{child.id}~{entry.round}", child.job, child.payload)
        state = await self.memory.child(child, asked=entry.child is not None)
        if state.completed is not None:
            self.memo.note(step.key, result_text(state.completed))
            return state.completed
        if state.failed is not None:
            failed = StepFailed(step.id, "JobFailed", state.failed)
            self.memo.note(step.key, error_text(failed, entry.round))
            raise failed
        self.memo.note(step.key, Entry(child=child.id, round=entry.round).text)
        raise self._leave(Pause(children=True))

    async def wait_for(self, step: Step, event: str, timeout_ms: int) -> str | None:
        """Give the payload of the oldest event of that name that no step has taken."""
        entry = self.memo.take(step.key)
        if entry.is_finished:
            text = entry.outcome(step)
            return None if entry.event is None else text
        is_over = timeout_ms == 0 or (entry.until is not None and self._is_over(entry))
        payload = self._taken(step, event)
        if payload is None and is_over:  # the last look, at what has come meanwhile, too
            await self.memory.look_for_events()
            payload = self._taken(step, event)
        if payload is not None:
            return payload
        if is_over:
            self.memo.note(step.key, result_text("null"))
            return None
        timer = Timer(step.key, delay_ms=timeout_ms, at_ms=entry.until)
        raise self._leave(Pause(timers=[timer], events=True))

    def _taken(self, step: Step, event: str) -> str | None:
        """Take the oldest event of that name that no step has; None where there is none."""
        for number, payload in self.memory.events(event):
            if number not in self.memo.taken_events:
                self.memo.note(step.key, result_text(payload, event=number))
                return payload
        return None

    async def parallel(self, branches: Sequence[Branch]) -> list[Any]:
        """Run branches, and give their results in order once every one has one."""
        left: list[list[Pause]] = [[] for _ in branches]
        runs = [_in_line(self, *pair) for pair in zip(branches, left, strict=True)]
        tasks = [asyncio.create_task(run) for run in runs]
        try:
            outcomes = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        if pauses := [pause for line in left for pause in line]:
            raise self._leave(Pause.of(pauses))
        for _, carried in outcomes:
            if carried is not None:
                raise carried
        return [value for value, _ in outcomes]

    async def _attempt(self, step: Step, entry: Entry, call: Call) -> str:
        """Make the step's next attempt; what it raises is on record, or is tried again later."""
        if entry.until is not None and not self._is_over(entry):
            # Another branch has woken the job; this one's backoff is not over.
            timer = Timer(step.key, at_ms=entry.until, failures=entry.failures)
            raise self._leave(Pause(timers=[timer]))
        attempt = entry.failures + 1
        try:
            return await call(attempt)
        except (Interrupt, asyncio.CancelledError, StepMisuse):
            raise
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a step ends no worker
            wait_ms = self._wait_ms(error, attempt)
            if wait_ms is None:
                failed = step_failure(step.id, error)
                await self._finish(step, error_text(failed, entry.round))
                raise failed from None
            retry = StepRetry(step.key, error, attempt, wait_ms)
        raise self._leave(Pause(retries=[retry]))

    def _wait_ms(self, error: BaseException, attempts_made: int) -> int | None:
        """Give the ms until a step's next attempt, None where there is none."""
        if is_one_of(error, self.memory.permanent) or attempts_made >= self.memory.attempts:
            return None
        return self.memory.wait_ms(error, attempts_made)

    async def _sleep(self, step: Step, entry: Entry, timer: Timer, left_ms: int) -> None:
        """Sleep in place where it is short, else leave the body."""
        if entry.until is None and left_ms < self.memory.shortest_pause_ms:
            if left_ms > 0:
                await self.memory.sleep(left_ms)
        elif not self._is_over(entry):
            raise self._leave(Pause(timers=[timer]))
        self.memo.note(step.key, result_text("null"))

    async def _finish(self, step: Step, text: str) -> None:
        self.memo.note(step.key, text)
        with self._unwritten() as entries:
            await self.memory.record(entries)

    @contextmanager
    def _unwritten(self) -> Iterator[dict[str, str]]:
        """Give what is to be recorded; where that is cut short, it is for the next time."""
        entries = self.memo.unwritten()
        try:
            yield entries
        except BaseException:
            self.memo.put_back(entries)
            raise

    def _is_over(self, entry: Entry) -> bool:
        return entry.until is not None and self.memory.is_over(entry.until)

    def _here(self) -> list[Pause]:
        line = _PAUSES.get()
        return line[1] if line is not None and line[0] is self else self._pauses

    def _leave(self, pause: Pause) -> Pause:
        """Note why the caller's line of steps is left; give the interrupt to raise."""
        self._here().append(pause)
        return pause


_PAUSES: ContextVar[tuple[Replay, list[Pause]] | None] = ContextVar("bullq pauses", default=None)


def _in_line(
    replay: Replay, branch: Branch, pauses: list[Pause]
) -> Coroutine[Any, Any, tuple[Any, BaseException | None]]:
    async def run() -> tuple[Any, BaseException | None]:
        _PAUSES.set((replay, pauses))  # in a task of its own: nothing to set back
        try:
            return await branch(), None
        except Pause:
            return None, None
        except _CARRIED as error:
            return None, error

    return run()

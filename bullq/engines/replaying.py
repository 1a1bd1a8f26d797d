"""A context whose steps are replayed, and what the end of such a job's body comes to."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable
from typing import Any

from bullq.engines.context import StepContext
from bullq.engines.ending import AttemptFailed, Lost, Parked, left_over_row
from bullq.engines.memo import Memo
from bullq.engines.memory import Memory
from bullq.engines.replay import Replay
from bullq.jobs.failure import is_one_of


class ReplayContext(StepContext):
    """A context over a memo of steps. Nothing of it is made before the job makes a step."""

    _replay: Replay | None = None

    @abstractmethod
    def open_memo(self) -> tuple[Memo, Memory]:
        """Give what is on record of the job's steps, and the place that keeps it."""

    @property
    def steps(self) -> Replay:
        """The job's steps, as far as they are on record."""
        if self._replay is None:
            self._replay = Replay(*self.open_memo())
        return self._replay

    @property
    def repeats(self) -> bool:
        """Whether the caller's line is where an earlier run has been: what it tells is told."""
        return self.fence > 1 and self.steps.repeats(self.here().path)

    async def flush(self) -> None:
        """Wait until what the job has told is on record; a job that is let go tells no more."""

    async def conclude(self, body: Awaitable[Any]) -> Any:
        """Give what the job's body gives, where its steps leave it at that.

        Raises Parked once the job waits for something, Lost where it is not this worker's any
        more, AttemptFailed where the steps decide what comes next; else what the body raises.
        """
        try:
            result = await body
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await self._leave()
            ending = None if self._replay is None else self._ending(self._replay, error)
            if ending is None:
                raise
            raise ending from error
        finally:
            self.ended = True
        self.check_left()
        await self._leave()
        self._tell_left_over()
        return result

    async def _leave(self) -> None:
        """Raise what counts in place of the body's own end, where something does."""
        replay = self._replay
        if self.misuse is not None:
            fields = {} if replay is None else replay.memo.fields(failed_for_good=True)
            raise AttemptFailed(self.misuse, retriable=False, counted=1, fields=fields)
        if replay is None:
            return
        if replay.memory.lost is not None:
            raise replay.memory.lost
        if (pause := replay.pause) is None:
            return
        if retry := pause.only_retry:
            replay.memo.note(retry.key, retry.text)
            fields = replay.memo.fields()
            raise AttemptFailed(retry.error, retriable=True, counted=retry.failures, fields=fields)
        await self.flush()
        await replay.memory.park(pause, replay.memo.unwritten())
        raise Parked

    def _tell_left_over(self) -> None:
        """Log which steps on record the body has not come to, as after a change of their ids."""
        if self._replay is not None and (left := self._replay.memo.left_over):
            self._replay.memo.go_on()
            self.log(left_over_row(f"the steps {', '.join(left)}"))

    def _ending(self, replay: Replay, error: BaseException) -> AttemptFailed | None:
        """Give what a failure of the body comes to: it is tried again by a count of its own."""
        memo = replay.memo
        if isinstance(error, Lost) or not memo.is_used:
            return None
        counted = memo.body_failures + 1
        permanent = is_one_of(error, replay.memory.permanent)
        retriable = not permanent and counted < self.max_attempts
        fields = memo.fields(failed_body=True, failed_for_good=not retriable)
        return AttemptFailed(error, retriable, counted, fields)

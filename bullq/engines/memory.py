"""What a replay needs from the place that keeps a job's steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bullq.engines.ending import Lost
from bullq.engines.engine import PERMANENT, Child
from bullq.engines.pause import Pause


@dataclass(frozen=True, slots=True)
class ChildState:
    """How a child stands: its result as JSON text, the reason of its failure, or neither yet."""

    completed: str | None = None
    failed: str | None = None


class Memory(ABC):
    """One job's part of an engine. All texts are JSON, all times ms.

    Every call that writes raises an Interrupt where the job is no longer this worker's.
    """

    attempts: int
    """How often a step, and the body between steps, is tried in all."""
    shortest_pause_ms: int
    """A pause from this length on leaves the body; a shorter one is slept in place."""

    lost: Lost | None = None
    """Why nothing can be recorded any more, once that is known: the job is not this worker's."""

    permanent: tuple[type[BaseException], ...] = PERMANENT
    """What fails a step, or the body, without the attempts that are left."""

    @abstractmethod
    def now_ms(self) -> int:
        """Give the time by the engine's clock, since the epoch."""

    def is_over(self, until_ms: int) -> bool:
        """Tell whether a time has come."""
        return until_ms <= self.now_ms()

    @abstractmethod
    def wait_ms(self, error: BaseException, attempts_made: int) -> int | None:
        """Give the wait after a failed attempt, from 1; None where its backoff is not known."""

    @abstractmethod
    async def record(self, entries: Mapping[str, str]) -> None:
        """Put memo entries on record: a step's key and its text."""

    @abstractmethod
    async def sleep(self, milliseconds: int) -> None:
        """Pause in place."""

    @abstractmethod
    async def dispatch(self, child: Child) -> None:
        """Queue a child that goes on by itself; again under the same id changes nothing."""

    @abstractmethod
    async def child(self, child: Child, *, asked: bool) -> ChildState:
        """Tell how a child stands, queueing it where it is not there.

        *asked*: it was queued before, so that where it is gone somebody has removed it.
        """

    @abstractmethod
    async def look_for_events(self) -> None:
        """Get the events that have come since the body began."""

    @abstractmethod
    def events(self, name: str) -> Iterable[tuple[int, str]]:
        """Give the events of that name that are known: number and payload, the oldest first."""

    @abstractmethod
    async def find_effect(self, key: str) -> str | None:
        """Give the result that is recorded for an effect, None where there is none."""

    @abstractmethod
    async def record_effect(self, key: str, result: str, entries: Mapping[str, str]) -> str:
        """Record an effect's result, with memo entries, unless there is one; give what counts.

        Where that is another job's, the entries are not recorded.
        """

    @abstractmethod
    async def park(self, pause: Pause, entries: Mapping[str, str]) -> None:
        """Record memo entries, and let go of the job until what *pause* waits for."""

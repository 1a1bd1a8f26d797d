"""Why a job's body was left, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from bullq.engines.engine import Interrupt


@dataclass(frozen=True, slots=True)
class Timer:
    """A step that goes on by itself: at *at_ms* where it is known, else *delay_ms* from now."""

    key: str
    delay_ms: int = 0
    at_ms: int | None = None
    failures: int = 0

    @property
    def head(self) -> str:
        """What the step's memo entry begins with; the time and '}' complete it."""
        return f'{{"failures":{self.failures},"until":' if self.failures else '{"until":'


@dataclass(frozen=True, slots=True)
class StepRetry:
    """A step whose attempt has failed, and which is tried again after *wait_ms*."""

    key: str
    error: BaseException
    failures: int
    wait_ms: int

    @property
    def text(self) -> str:
        """The step's memo entry until then."""
        return f'{{"failures":{self.failures}}}'

    @property
    def timer(self) -> Timer:
        """The same as a timer, for a job that waits for other things, too."""
        return Timer(self.key, delay_ms=self.wait_ms, failures=self.failures)


class Pause(Interrupt):
    """Leaves the body until the first of its timers, a child or an event."""

    def __init__(
        self,
        *,
        timers: Iterable[Timer] = (),
        retries: Iterable[StepRetry] = (),
        children: bool = False,
        events: bool = False,
    ) -> None:
        super().__init__("the job pauses; its engine begins the body anew")
        self.timers = list(timers)
        self.retries = list(retries)
        self.children = children
        self.events = events

    @classmethod
    def of(cls, pauses: Iterable[Pause]) -> Self:
        """Give the pause for all of *pauses*, which branches were left for."""
        given = list(pauses)
        return cls(
            timers=[timer for pause in given for timer in pause.timers],
            retries=[retry for pause in given for retry in pause.retries],
            children=any(pause.children for pause in given),
            events=any(pause.events for pause in given),
        )

    @property
    def all_timers(self) -> list[Timer]:
        """The timers, those of steps that are tried again included."""
        return [*self.timers, *(retry.timer for retry in self.retries)]

    @property
    def only_retry(self) -> StepRetry | None:
        """The failed step, where the job waits for nothing else."""
        if len(self.retries) == 1 and not (self.timers or self.children or self.events):
            return self.retries[0]
        return None

"""The port of an engine: what it does for the steps of one job that it runs.

`StepContext` (context.py) is what jobs see. It keeps the rules that are the same everywhere: ids
and their numbers, types, limits, no steps inside steps or under asyncio.gather. Each step that
passes them is one call of the port below, and an adapter is an implementation of the port:

* `replay.py` implements it for engines whose memory is ours, as a memo of finished steps:
  `bullmq.py` keeps it in the job's hash, `inline.py` in the process;
* an engine that remembers steps itself, as Inngest does, implements the port by its own calls.

What every adapter keeps:

1. A body may begin anew from the top at any step. A step that is finished gives what it gave.
2. To leave the body the engine raises an `Interrupt`, a BaseException. Code that swallows it gets
   it again at the next step, and once the body has ended the interrupt counts, not its result.
3. `run` and `once` make a call at most once per replay. A call that raises is made again in a
   later replay, as attempt 2 and so on, by the job's attempts and backoff, each step counting
   from 1. `RetryAfter` sets the wait. What the last attempt raises, or what `is_permanent` says
   no attempt can mend, is on record as the step's outcome and raised as StepFailed.
4. What the body itself raises is retried by the same policy, counting anew since the last step
   that finished; StepFailed, GiveUp and StepMisuse end the job at once.
5. `parallel` lets all branches go as far as they can. Interrupts win over results: the body comes
   back until every branch has one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bullq.errors import GiveUp, PayloadError, ResultError, StepFailed, StepMisuse
from bullq.jobs.invocable import Invocable

PERMANENT = (GiveUp, PayloadError, ResultError, StepFailed, StepMisuse)
"""What fails a step at once, and, raised by the body, its job: the next attempt would meet it."""


class Interrupt(BaseException):
    """Leaves a job's body because its engine needs it to; `except Exception` does not catch it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job. *id* is what its author wrote, *key* is unique in the job.

    The second step of an id has the key 'id:1'. Inside ctx.parallel each branch counts for
    itself, and its keys begin with its place: '1.0/mail' in the first branch of the first call.
    """

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class Child:
    """Another job that a step starts. Its *id* is the same whenever the step is made again."""

    id: str
    job: Invocable[Any, Any]
    payload: Any
    """Of the job's own type, checked."""


Call = Callable[[int], Awaitable[str]]
"""Calls a step's function as an attempt, from 1, within the job's timeout.

Gives the result as JSON text; raises what the function raises, and ResultError for a result that
JSON cannot hold or that is too big.
"""

Branch = Callable[[], Awaitable[Any]]
"""Runs one branch of ctx.parallel; raises nothing but interrupts (its failure is its result)."""


class Steps(ABC):
    """The steps of one attempt of one job. All calls come on the event loop."""

    @abstractmethod
    def repeats(self, line: str) -> bool:
        """Tell whether a line of steps repeats what an earlier run did: what it logs is told.

        *line* is the path of a branch, '' for the body.
        """

    @property
    @abstractmethod
    def attempt(self) -> int:
        """Which attempt of the body this is, from 1, counted since the last step that finished."""

    @abstractmethod
    def check(self) -> None:
        """Raise the interrupt again that the body has swallowed, where it has."""

    @abstractmethod
    async def run(self, step: Step, call: Call) -> str:
        """Give the step's result (JSON text), calling where it has none; raises StepFailed."""

    @abstractmethod
    async def once(self, step: Step, key: str, call: Call) -> str:
        """Do the same as run(), where no job of the queue has a result under *key*."""

    @abstractmethod
    async def sleep(self, step: Step, milliseconds: int) -> None:
        """Pause, counted from when the step was first made."""

    @abstractmethod
    async def sleep_until(self, step: Step, at_ms: int) -> None:
        """Pause until *at_ms* (since the epoch)."""

    @abstractmethod
    async def dispatch(self, step: Step, child: Child) -> str:
        """Queue the child and give its id."""

    @abstractmethod
    async def invoke(self, step: Step, child: Child) -> str:
        """Queue the child and give its result (JSON text); raises StepFailed, named JobFailed."""

    @abstractmethod
    async def wait_for(self, step: Step, event: str, timeout_ms: int) -> str | None:
        """Give the payload (JSON text) of the oldest event of that name that no step has taken.

        None where none came within the time, counted from when the step was first made.
        """

    @abstractmethod
    async def parallel(self, branches: Sequence[Branch]) -> list[Any]:
        """Run branches, and give their results in order once every one has one."""

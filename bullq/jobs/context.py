"""What a running job sees of the engine that runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

from bullq.clock import Duration
from bullq.errors import StepMisuse

if TYPE_CHECKING:
    from bullq.jobs.blocking import BlockingSteps
    from bullq.jobs.invocable import Invocable

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")

Work = Coroutine[Any, Any, T]
"""What a step gives back: await it where it is made."""


class Context(ABC):
    """The port between business code and an engine: one context for one attempt of one job.

    What is logged and reported is written in order, and is on record before the job counts as
    ended; these calls may come from async code and from the thread of a sync job alike, and none
    of them waits for the network.

    A *step* (run, sleep, parallel, dispatch, invoke, wait_for, once) is what a job does once,
    however often its body runs: after a step, a pause or a crash the body may begin anew from the
    top, and the steps that were finished give what they gave. So whatever has an effect, or is
    not the same each time, belongs into a step. A step's id is its name in this job: write it
    down, do not draw it by chance. One that is used again gets a number: 'mail', 'mail:1', ...

    Ordinary functions take the blocking forms of the same: `ctx.sync.run(...)`.
    """

    job_id: str
    """The job's id, the same in Redis, in dashboards and in the receipt of its dispatch."""
    queue: str
    """The queue the job came from."""
    name: str
    """The job's name on that queue."""
    engine: str
    """Which engine runs the job: 'bullmq', 'inngest' or 'inline'."""
    job_attempt: int
    """Which attempt of the whole job this is, from 1; each failure before it counts."""
    max_attempts: int
    """How often a step, and the body between steps, is tried in all."""
    fence: int = 1
    """Grows each time that a worker takes the job up.

    A store that keeps the highest one it has seen can refuse a worker that was taken for dead.
    """

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether the job should stop: its lock is lost, its time is up or its worker stops.

        Async jobs are cancelled at their next await; sync jobs have to look here.
        """

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1: of the step inside one, else of the body since a step."""
        return self.job_attempt

    @abstractmethod
    def log(self, message: str) -> None:
        """Add a row to the job's own log, which dashboards show.

        What a body that begins anew has logged before is not logged again.
        """

    @abstractmethod
    def progress(self, value: Any) -> None:
        """Tell how far the job is: a number from 0 to 100, or any JSON data.

        Raises TypeError or ValueError where JSON cannot hold *value*.
        """

    @overload
    def run(
        self,
        step: str,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Work[T]: ...
    @overload
    def run(
        self,
        step: str,
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Work[T]: ...
    def run(self, step: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Call *function* once and give what it returns, in this and in every later run.

        An ordinary function runs in a thread. The result is JSON on record, read back as the
        function's return type says. A call that raises is made again by the job's attempts and
        backoff; what it raises at the last one is StepFailed here. GiveUp ends the attempts.
        """
        return _no_engine()

    def sleep(self, step: str, duration: Duration) -> Work[None]:  # noqa: ARG002
        """Pause for *duration* (seconds or timedelta); a second or more frees the slot.

        Raises ValueError for a negative one, and for one of more than 34 years.
        """
        return _no_engine()

    def sleep_until(self, step: str, time: datetime) -> Work[None]:  # noqa: ARG002
        """Pause until *time*, which has a time zone; one in the past does not pause."""
        return _no_engine()

    @overload
    def parallel(
        self, one: Callable[[], Awaitable[A]], two: Callable[[], Awaitable[B]], /
    ) -> Work[tuple[A, B]]: ...
    @overload
    def parallel(
        self,
        one: Callable[[], Awaitable[A]],
        two: Callable[[], Awaitable[B]],
        three: Callable[[], Awaitable[C]],
        /,
    ) -> Work[tuple[A, B, C]]: ...
    @overload
    def parallel(
        self,
        one: Callable[[], Awaitable[A]],
        two: Callable[[], Awaitable[B]],
        three: Callable[[], Awaitable[C]],
        four: Callable[[], Awaitable[D]],
        /,
    ) -> Work[tuple[A, B, C, D]]: ...
    @overload
    def parallel(self, *branches: Callable[[], Awaitable[T]]) -> Work[tuple[T, ...]]: ...
    def parallel(self, *branches: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ARG002
        """Run branches at once, such as `lambda: ctx.run("a", fetch)`, and give all results.

        Each branch may have several steps. All end before the first failure, in their order, is
        raised. Steps under asyncio.gather are refused: engines would make them twice.
        """
        return _no_engine()

    def dispatch(self, step: str, job: Invocable[DataT, Any], payload: DataT) -> Work[str]:  # noqa: ARG002
        """Queue another job, which goes on by itself, and give its id."""
        return _no_engine()

    def invoke(self, step: str, job: Invocable[DataT, ResultT], payload: DataT) -> Work[ResultT]:  # noqa: ARG002
        """Queue another job and give its result; the slot is free meanwhile.

        Raises StepFailed where the other job fails for good.
        """
        return _no_engine()

    @overload
    def wait_for(self, step: str, event: str, timeout: Duration) -> Work[Any]: ...
    @overload
    def wait_for(
        self,
        step: str,
        event: str,
        timeout: Duration,
        type: type[T],
    ) -> Work[T | None]: ...
    def wait_for(
        self,
        step: str,  # noqa: ARG002
        event: str,  # noqa: ARG002
        timeout: Duration,  # noqa: ARG002
        type: Any = Any,  # noqa: A002, ARG002
    ) -> Any:
        """Wait for an event sent to this job (`send_event`) and give its payload as *type*.

        None after *timeout* (seconds or timedelta). An event that came before is found; each is
        given to one wait, the oldest first. The slot is free meanwhile.
        """
        return _no_engine()

    @overload
    def once(
        self, key: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Work[T]: ...
    @overload
    def once(
        self, key: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Work[T]: ...
    def once(self, key: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Do the same as run(), once for all jobs of the queue: *key* names the effect.

        Whoever comes after it has succeeded gets the recorded result. The record is kept 30 days.
        """
        return _no_engine()

    @property
    def sync(self) -> BlockingSteps:
        """The steps for ordinary functions: they wait, and give the result itself."""
        return _no_engine()


def _no_engine() -> NoReturn:
    raise StepMisuse(
        "This context has no engine, so that it cannot run steps. In a test, run the job with "
        "bullq.testing.Inline"
    )

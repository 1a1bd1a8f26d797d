"""The steps of a job as ordinary functions use them: each call waits for its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from bullq.clock import Duration

if TYPE_CHECKING:
    from bullq.jobs.invocable import Invocable

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")


class BlockingSteps(ABC):
    """What Context has for async jobs, for sync ones. Functions run in the caller's own thread.

    A pause (sleep, wait_for, invoke) leaves the function by an exception that no `except
    Exception` catches; when the pause is over, the function begins anew.
    """

    @overload
    def run(
        self,
        step: str,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def run(
        self,
        step: str,
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @abstractmethod
    def run(self, step: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call *function* once and give what it returns, in this and in every later run."""

    @abstractmethod
    def sleep(self, step: str, duration: Duration) -> None:
        """Pause for *duration* (seconds or timedelta)."""

    @abstractmethod
    def sleep_until(self, step: str, time: datetime) -> None:
        """Pause until *time*, which has a time zone."""

    @overload
    def parallel(self, one: Callable[[], A], two: Callable[[], B], /) -> tuple[A, B]: ...
    @overload
    def parallel(
        self, one: Callable[[], A], two: Callable[[], B], three: Callable[[], C], /
    ) -> tuple[A, B, C]: ...
    @overload
    def parallel(self, *branches: Callable[[], T]) -> tuple[T, ...]: ...
    @abstractmethod
    def parallel(self, *branches: Callable[[], Any]) -> tuple[Any, ...]:
        """Run branches at once, each in a thread, and give all results."""

    @abstractmethod
    def dispatch(self, step: str, job: Invocable[DataT, Any], payload: DataT) -> str:
        """Queue another job, which goes on by itself, and give its id."""

    @abstractmethod
    def invoke(self, step: str, job: Invocable[DataT, ResultT], payload: DataT) -> ResultT:
        """Queue another job and give its result."""

    @overload
    def wait_for(self, step: str, event: str, timeout: Duration) -> Any: ...
    @overload
    def wait_for(
        self,
        step: str,
        event: str,
        timeout: Duration,
        type: type[T],
    ) -> T | None: ...
    @abstractmethod
    def wait_for(self, step: str, event: str, timeout: Duration, type: Any = Any) -> Any:  # noqa: A002
        """Wait for an event sent to this job and give its payload; None after *timeout*."""

    @overload
    def once(
        self, key: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    def once(
        self, key: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @abstractmethod
    def once(self, key: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Do the same as run(), once for all jobs of the queue: *key* names the effect."""

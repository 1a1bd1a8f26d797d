"""What a job is, before it can be dispatched: a function, its place, its types, its policy."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args, get_type_hints

from bullq.errors import InvalidOptionError
from bullq.jobs.context import Context
from bullq.jobs.payload import Payload, Result, describe_type, result_problem, type_problem
from bullq.jobs.reasons import OnDataLoss, Pickup
from bullq.jobs.retry import Backoff

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")

Executor = Literal["auto", "thread", "process"]
"""Where a job's function runs. 'auto': a coroutine function on the loop, any other in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPolicy:
    """How a job wants to be run. None means: as its queue says."""

    attempts: int | None = None
    backoff: Backoff | None = None
    timeout_ms: int | None = None
    priority: int | None = None
    cron: str | None = None
    every_ms: int | None = None
    tz: str = "UTC"
    executor: Executor = "auto"
    fallback: bool | None = None
    pickup: Pickup | None = None
    on_data_loss: OnDataLoss | None = None
    order_key: Callable[[Any], str | None] | None = None

    def __post_init__(self) -> None:
        if self.executor not in get_args(Executor):
            known = ", ".join(map(repr, get_args(Executor)))
            raise InvalidOptionError(f"A job's executor is one of {known}, not {self.executor!r}")
        for option, kinds in (("pickup", Pickup), ("on_data_loss", OnDataLoss)):
            value = getattr(self, option)
            if value is not None and value not in get_args(kinds):
                known = ", ".join(map(repr, get_args(kinds)))
                raise InvalidOptionError(f"A job's {option} is one of {known}, not {value!r}")
        if not isinstance(self.backoff, Backoff | None):
            raise InvalidOptionError(
                f"A job's backoff is a Backoff, such as Backoff.fixed(30), not {self.backoff!r}"
            )
        if self.timeout_ms == 0:
            raise InvalidOptionError("A job's timeout is more than 0 seconds; None sets no bound")


class JobDefinition(Generic[DataT, ResultT]):
    """A function as a job; what is wrong with its signature is in *problems*."""

    def __init__(
        self, function: Callable[..., Any], *, queue: str, name: str, policy: JobPolicy
    ) -> None:
        functools.update_wrapper(self, function)  # type: ignore[arg-type] # callable in job.py
        self.function = function
        self.queue = queue
        self.name = name
        self.policy = policy
        self.is_async = inspect.iscoroutinefunction(function)
        self.problems: list[str] = []
        self.takes_context = False
        self._read_signature()
        self._check_executor()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.queue}/{self.name}>"

    @property
    def location(self) -> str:
        """Where the function stands, for messages."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @functools.cached_property
    def payload(self) -> Payload[DataT]:
        """The payload's type."""
        return Payload(self._payload_annotation)

    @functools.cached_property
    def result(self) -> Result[ResultT]:
        """The result's type."""
        return Result(self._result_annotation)

    def _read_signature(self) -> None:
        self._payload_annotation: Any = Any
        self._result_annotation: Any = Any
        positional, others = _parameters(self.function)
        if len(positional) not in (1, 2) or others:
            count = len(positional) + len(others)
            self._problem(f"takes {count} parameters; a job is (data) or (data, ctx)")
            return
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            self._problem("yields; a job returns its result")
            return
        self.takes_context = len(positional) == 2  # noqa: PLR2004 - (data, ctx)
        try:
            hints = get_type_hints(self.function, include_extras=True)
        except Exception as error:  # noqa: BLE001 - annotations are code
            self._problem(
                f"has annotations that cannot be read: {error}; what they name must be "
                "importable at run time, outside 'if TYPE_CHECKING' and functions"
            )
            return
        self._read_types(hints, *positional)

    def _read_types(self, hints: dict[str, Any], data: str, ctx: str | None = None) -> None:
        if ctx is not None and hints.get(ctx, Context) is not Context:
            given = describe_type(hints[ctx])
            self._problem(f"its second parameter {ctx!r} has to be a bullq.Context, not {given}")
        result = hints.get("return", Any)
        if problem := result_problem(result):
            self._problem(f"its result: {problem}")
        else:
            self._result_annotation = result
        if data not in hints:
            self._problem(f"needs a type on its parameter {data!r}")
        elif problem := type_problem(hints[data]):
            self._problem(problem)
        else:
            self._payload_annotation = hints[data]

    def _check_executor(self) -> None:
        executor = self.policy.executor
        if executor == "auto":
            return
        if self.is_async:
            self._problem(
                f"executor={executor!r} is for ordinary functions; an async one runs on the "
                "worker's event loop, so take 'async' or the executor away"
            )
        if executor != "process":
            return
        if self.takes_context:
            self._problem(
                "a job in a process of its own takes (data) only: it has no Context there; "
                "return what is worth knowing, or take executor='thread'"
            )
        if "<locals>" in self.function.__qualname__ or self.function.__module__ == "__main__":
            self._problem(
                "a job in a process of its own is imported there by its module and name; "
                "define it at the top level of a module that can be imported"
            )

    def _problem(self, text: str) -> None:
        self.problems.append(f"{self.location}: {text}")


def _parameters(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Name the parameters that are given by position, and those that need a keyword."""
    parameters = inspect.signature(function).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [one for one in parameters if one.default is one.empty]
    return (
        [one.name for one in parameters if one.kind in positional],
        [one.name for one in required if one.kind is one.KEYWORD_ONLY],
    )

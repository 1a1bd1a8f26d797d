"""What a job is, before it can be dispatched: a function, its place, its types, its policy."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_type_hints

from bullq.jobs.context import Context
from bullq.jobs.payload import Payload, Result, type_problem
from bullq.jobs.retry import Backoff

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")


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
        parameters = [
            parameter
            for parameter in inspect.signature(self.function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            or parameter.default is parameter.empty
        ]
        self._payload_annotation: Any = Any
        self._result_annotation: Any = Any
        if len(parameters) not in (1, 2) or any(
            parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters
        ):
            self._problem(f"takes {len(parameters)} parameters; a job is (data) or (data, ctx)")
            return
        self.takes_context = len(parameters) == 2  # noqa: PLR2004 - (data, ctx)
        try:
            hints = get_type_hints(self.function, include_extras=True)
        except (NameError, TypeError) as error:
            self._problem(f"has annotations that cannot be read: {error}")
            return
        self._result_annotation = hints.get("return", Any)
        if parameters[0].name not in hints:
            self._problem(f"needs a type on its parameter {parameters[0].name!r}")
            return
        self._payload_annotation = hints[parameters[0].name]
        if problem := type_problem(self._payload_annotation):
            self._problem(problem)
        if self.takes_context and hints.get(parameters[1].name, Context) is not Context:
            self._problem(f"its second parameter {parameters[1].name!r} is the Context")

    def _problem(self, text: str) -> None:
        self.problems.append(f"{self.location}: {text}")

"""Call what a step names: where it runs, what type it gives, how its failure is told."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Never, NoReturn, get_args, get_origin, get_type_hints

from bullq.errors import ResultError, StepFailed, StepMisuse
from bullq.jobs.failure import message_of, trace_of
from bullq.jobs.payload import Result, describe_type

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls an ordinary function off the event loop, in the caller's context variables."""

CALLING_THREAD: ContextVar[InThread | None] = ContextVar("bullq calling thread", default=None)
"""Set where a step was started by the thread of a sync job: its functions are called there."""

_ANYTHING: Result[Any] = Result(Any)


async def call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    in_thread: InThread,
) -> Any:
    """Call *function*: a coroutine function on the event loop, any other in a thread."""
    if is_async(function):
        return await function(*args, **kwargs)
    place = CALLING_THREAD.get() or in_thread
    value = await place(functools.partial(function, *args, **kwargs))
    return await value if inspect.isawaitable(value) else value


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling *function* gives a coroutine, as far as that shows."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is of interest
    )


def result_type(step: str, function: Callable[..., Any]) -> Result[Any]:
    """Give the type that a step's function declares to return; anything where it does not."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function).__call__
    annotations = getattr(function, "__annotations__", None)
    if not isinstance(annotations, dict) or "return" not in annotations:
        return _ANYTHING
    annotation = annotations["return"]
    try:
        if isinstance(annotation, str):
            annotation = get_type_hints(inspect.unwrap(function), include_extras=True)["return"]
        if annotation in (NoReturn, Never):
            return _ANYTHING
        origin: Any = get_origin(annotation)
        if origin in (Awaitable, Coroutine):
            annotation = get_args(annotation)[-1]
        return declared(annotation)
    except Exception as error:
        what = annotation if isinstance(annotation, str) else describe_type(annotation)
        raise StepMisuse(
            f"The step {step!r} calls a function whose return type {what} cannot be read, so that "
            f"its result could not be given again: {error}"
        ) from error


@functools.lru_cache(maxsize=1024)
def _cached(annotation: Any) -> Result[Any]:
    return Result(annotation)


def declared(annotation: Any) -> Result[Any]:
    """Give the type of a result or an event, made once for each annotation."""
    try:
        return _cached(annotation)
    except TypeError:  # not hashable, such as Annotated with a list in it
        return Result(annotation)


def encode(step: str, result: Result[Any], value: Any) -> str:
    """Give what a step's function has returned as JSON text; raises ResultError."""
    try:
        return result.encode(value)
    except ResultError as error:
        raise ResultError(f"the step {step!r} {str(error).removeprefix('the job ')}") from None


def step_failure(step: str, error: BaseException) -> StepFailed:
    """Give what a step's last attempt raised as the body is told of it, on every engine."""
    return StepFailed(step, type(error).__name__, message_of(error), trace_of(error))

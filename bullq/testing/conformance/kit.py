"""What the cases are written with: jobs of one policy, expectations, and the list of them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from bullq.errors import JobFailed
from bullq.jobs.job import JobDecorator, job
from bullq.jobs.retry import Backoff

if TYPE_CHECKING:
    from bullq.testing.conformance.bench import Bench, Run

QUEUE, OTHER_QUEUE = "conformance", "conformance-other"
ATTEMPTS = 3

Check = Callable[["Bench"], Awaitable[None]]
ErrorT = TypeVar("ErrorT", bound=BaseException)
ValueT = TypeVar("ValueT")


class Input(BaseModel):
    """What the jobs of the cases take."""

    n: int = 0


class Output(BaseModel):
    """What some of their steps give."""

    n: int


@dataclass(frozen=True)
class Case:
    """One thing that every engine does alike. *needs* names what an engine may lack."""

    name: str
    theme: str
    summary: str
    check: Check
    needs: frozenset[str]


CASES: list[Case] = []


def case(theme: str, *, needs: tuple[str, ...] = ()) -> Callable[[Check], Check]:
    """Put a function among the cases; its docstring says what holds."""

    def put(check: Check) -> Check:
        summary = (check.__doc__ or "").strip().partition("\n")[0]
        name = getattr(check, "__name__", "")
        CASES.append(Case(name, theme, summary, check, frozenset(needs)))
        return check

    return put


def on(
    queue: str = QUEUE,
    *,
    name: str = "main",
    attempts: int = ATTEMPTS,
    timeout: timedelta | None = None,
) -> JobDecorator:
    """Make a job of a case: it is tried again at once."""
    return job(queue=queue, name=name, attempts=attempts, backoff=Backoff.fixed(0), timeout=timeout)


def expect(actual: object, expected: object) -> None:
    """Fail the case where two values differ."""
    if actual != expected:
        raise AssertionError(f"got {actual!r}, expected {expected!r}")


def expect_in(part: Any, whole: Any) -> None:
    """Fail the case where *part* is not in *whole*."""
    if part not in whole:
        raise AssertionError(f"{part!r} is not in {whole!r}")


def noted(notes: list[Any], value: ValueT) -> ValueT:
    """Note a value, and give it: the effect of a step."""
    notes.append(value)
    return value


async def failure(kind: type[ErrorT], work: Awaitable[Any]) -> ErrorT:
    """Give the error that *work* raises; fail the case where it raises none of that kind."""
    try:
        result = await work
    except kind as error:
        return error
    raise AssertionError(f"got {result!r}, expected {kind.__name__}")


async def reason(run: Run) -> str:
    """Give why a job has failed."""
    return (await failure(JobFailed, run.result())).reason

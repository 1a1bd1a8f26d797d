from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from bullq.errors import InvalidOptionError
from bullq.jobs.context import Context
from bullq.jobs.definition import Executor, JobDefinition, JobPolicy

if TYPE_CHECKING:
    from decimal import Decimal as Unimported


class Order(BaseModel):
    order_id: int


class Plain:
    pass


def define(function: Callable[..., Any]) -> JobDefinition[Any, Any]:
    return JobDefinition(function, queue="default", name="job", policy=JobPolicy())


def data_only(order: Order) -> int:
    """Count."""
    return order.order_id


async def data_and_context(order: Order, ctx: Context) -> int:
    return order.order_id


def data_and_untyped_context(order: Order, ctx) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001
    return order.order_id


def with_a_keyword_of_its_own(order: Order, *, loud: bool = False) -> int:
    return order.order_id


def with_any_more(order: Order, *rest: int, **options: int) -> int:
    return order.order_id


def without_result(order: Order):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return order.order_id


@pytest.mark.parametrize(
    ("function", "takes_context", "is_async"),
    [
        (data_only, False, False),
        (data_and_context, True, True),
        (data_and_untyped_context, True, False),
        (with_a_keyword_of_its_own, False, False),
        (with_any_more, False, False),
        (without_result, False, False),
    ],
)
def test_a_job_takes_data_or_data_and_context(
    function: Callable[..., Any], *, takes_context: bool, is_async: bool
) -> None:
    definition = define(function)
    assert definition.problems == []
    assert (definition.takes_context, definition.is_async) == (takes_context, is_async)
    assert definition.payload.annotation is Order


def test_types_come_from_the_annotations() -> None:
    assert define(data_only).result.annotation is int
    assert define(without_result).result.annotation is Any


def test_a_definition_looks_like_its_function() -> None:
    definition: Any = define(data_only)
    assert definition.__name__ == "data_only"
    assert definition.__doc__ == "Count."
    assert definition.__wrapped__ is data_only
    assert repr(definition) == "<JobDefinition default/job>"
    assert definition.location == f"{__name__}.data_only"


def nothing() -> None: ...
def three(order: Order, ctx: Context, more: int) -> None: ...
def only_many(*orders: Order) -> None: ...
def only_keywords(*, order: Order) -> None: ...
def context_by_keyword(order: Order, *, ctx: Context) -> None: ...
def untyped(order) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def a_number(order: int) -> None: ...
def a_list(orders: list[Order]) -> None: ...
def other_second(order: Order, limit: int = 5) -> None: ...
def optional_context(order: Order, ctx: Context | None = None) -> None: ...
def unreadable(order: Unimported) -> None: ...
def plain_result(order: Order) -> Plain: ...  # type: ignore[empty-body]


def yields(order: Order) -> Iterator[int]:
    yield 1


async def yields_async(order: Order) -> AsyncIterator[int]:
    yield 1


def broken(order: Order) -> None: ...


broken.__annotations__["order"] = "Order["


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (nothing, "takes 0 parameters; a job is (data) or (data, ctx)"),
        (three, "takes 3 parameters; a job is (data) or (data, ctx)"),
        (only_many, "takes 0 parameters"),
        (only_keywords, "takes 1 parameters"),
        (context_by_keyword, "takes 2 parameters"),
        (untyped, "needs a type on its parameter 'order'"),
        (a_number, "the payload type int is no JSON object"),
        (a_list, "the payload type list is no JSON object"),
        (other_second, "its second parameter 'limit' has to be a bullq.Context, not int"),
        (optional_context, "its second parameter 'ctx' has to be a bullq.Context, not "),
        (unreadable, "cannot be read: name 'Unimported' is not defined; what they name must be"),
        (broken, "has annotations that cannot be read"),
        (plain_result, "its result: pydantic cannot read the type Plain"),
        (yields, "yields; a job returns its result"),
        (yields_async, "yields; a job returns its result"),
    ],
)
def test_a_wrong_signature_is_a_problem_that_names_the_function(
    function: Callable[..., Any], words: str
) -> None:
    [problem] = define(function).problems
    assert problem.startswith(f"{__name__}.{function.__name__}: ")
    assert words in problem


def test_every_problem_of_a_signature_is_listed() -> None:
    def all_wrong(order: int, ctx: str) -> Plain: ...  # type: ignore[empty-body]

    assert len(define(all_wrong).problems) == 3


def test_a_decorator_that_wraps_well_is_seen_through() -> None:
    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def wrapper(*args: Any) -> Any:
            return await function(*args)

        return wrapper

    definition = define(traced(data_and_context))
    assert definition.problems == []
    assert (definition.takes_context, definition.is_async) == (True, True)


def test_a_partial_keeps_its_function_s_kind() -> None:
    assert define(wraps(data_only)(partial(data_only))).problems == []


@pytest.mark.parametrize(
    ("function", "executor", "problem"),
    [
        (data_and_context, "thread", "executor='thread' is for ordinary functions"),
        (data_and_context, "process", "executor='process' is for ordinary functions"),
        (data_and_untyped_context, "process", r"takes \(data\) only"),
        (lambda order: order, "process", "define it at the top level of a module"),
    ],
)
def test_an_executor_that_cannot_run_the_function_is_a_problem(
    function: Callable[..., Any], executor: Executor, problem: str
) -> None:
    if function.__name__ == "<lambda>":
        function.__qualname__ = "outer.<locals>.<lambda>"
    policy = JobPolicy(executor=executor)
    defined = JobDefinition(function, queue="default", name="job", policy=policy)
    assert any(re.search(problem, told) for told in defined.problems), defined.problems


@pytest.mark.parametrize("executor", ["auto", "thread", "process"])
def test_an_ordinary_function_runs_anywhere(executor: Executor) -> None:
    policy = JobPolicy(executor=executor)
    assert JobDefinition(data_only, queue="default", name="job", policy=policy).problems == []


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="'auto', 'thread', 'process', not 'fork'"):
        JobPolicy(executor="fork")  # type: ignore[arg-type]

"""What a step's function gives is known by its annotations; its failure is told for people."""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import Any

import pytest
from pydantic import BaseModel

from bullq.engines.calls import is_async, result_type, step_failure
from bullq.engines.lines import child_id
from bullq.errors import InvalidOptionError, StepMisuse
from bullq.protocol.options import check_job_id


class Sent(BaseModel):
    n: int


def plain() -> Sent:
    return Sent(n=1)


async def coroutine() -> list[Sent]:
    return []


def awaitable() -> Awaitable[Sent]:
    raise NotImplementedError


def untyped():  # type: ignore[no-untyped-def] # noqa: ANN201 - the point
    return 1


class Callable_:  # noqa: N801 - a case
    async def __call__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("function", "annotation"),
    [
        (plain, Sent),
        (coroutine, list[Sent]),
        (awaitable, Sent),
        (functools.partial(functools.partial(plain)), Sent),
        (untyped, Any),
        (lambda: 1, Any),
        (len, Any),
        (Callable_(), int),
    ],
)
def test_a_result_has_the_type_that_its_function_declares(function: Any, annotation: Any) -> None:
    assert result_type("a", function).annotation == annotation


def test_a_type_that_cannot_be_read_is_refused() -> None:
    class Local(BaseModel):
        n: int

    def gives() -> Local:
        return Local(n=1)

    with pytest.raises(StepMisuse, match="The step 'a' calls a function whose return type Local"):
        result_type("a", gives)


@pytest.mark.parametrize(
    ("function", "answer"), [(plain, False), (coroutine, True), (Callable_(), True), (len, False)]
)
def test_coroutine_functions_are_told_from_others(function: Any, answer: object) -> None:
    assert is_async(function) is answer


def test_a_failure_is_told_by_name_message_and_the_users_own_frames() -> None:
    def burn() -> None:
        raise ValueError("half \ud800")

    try:
        burn()
    except ValueError as error:
        failed = step_failure("toast", error)
    assert (failed.step, failed.name, failed.message) == ("toast", "ValueError", "half \\ud800")
    assert "in burn" in failed.trace
    assert str(failed) == "the step 'toast' failed: ValueError: half \\ud800"


@pytest.mark.parametrize(
    "key", ["mail", "mail:1", "1.0/mail", "two words", "ключ", "x" * 500, "7", ":", ""]
)
def test_a_childs_id_is_one_that_bullmq_takes(key: str) -> None:
    made = child_id("01J", key)
    assert check_job_id(made) == made
    assert made.startswith("01J.")
    assert len(made) < 100


def test_the_child_of_a_recurring_job_has_an_id_that_bullmq_takes() -> None:
    assert check_job_id(child_id("repeat:tick:17", "mail")) == "repeat-tick-17.mail"


def test_children_of_other_steps_have_other_ids() -> None:
    keys = ["mail", "mail:1", "mail-1", "mail 1", "1.0/mail", "1.1/mail", "x" * 200, "x" * 201]
    assert len({child_id("01J", key) for key in keys}) == len(keys)
    assert child_id("01J", "mail:1") == child_id("01J", "mail:1")
    with pytest.raises(InvalidOptionError):
        check_job_id("mail:1")

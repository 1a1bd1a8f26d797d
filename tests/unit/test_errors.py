from __future__ import annotations

import inspect
from datetime import timedelta

import pytest

from bullq import errors
from bullq.errors import (
    BullqError,
    DispatchInDoubt,
    GiveUp,
    JobDefinitionError,
    JobFailed,
    ResultTimeout,
    RetryAfter,
    StoreUnavailable,
)


def test_every_error_of_bullq_can_be_caught_as_one_kind_but_instructions_of_jobs_cannot() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    kinds = {cls for cls in classes if issubclass(cls, Exception)}
    assert {cls for cls in kinds if not issubclass(cls, BullqError)} == {GiveUp, RetryAfter}


def test_problems_with_jobs_are_told_one_a_line() -> None:
    error = JobDefinitionError(["first", "second"])
    assert str(error) == "first\nsecond"
    assert error.problems == ["first", "second"]


def test_errors_carry_what_code_needs_to_go_on() -> None:
    assert StoreUnavailable("gone").in_doubt is False
    assert StoreUnavailable("gone", in_doubt=True).in_doubt is True
    assert DispatchInDoubt("sent", "id-1").job_id == "id-1"
    failed = JobFailed("id-1", "no money")
    assert (failed.job_id, failed.reason, str(failed)) == (
        "id-1",
        "no money",
        "Job id-1 failed: no money",
    )


def test_a_timeout_of_ours_is_caught_as_a_timeout() -> None:
    assert issubclass(ResultTimeout, TimeoutError)


@pytest.mark.parametrize(("delay", "seconds"), [(0, 0.0), (2.5, 2.5), (timedelta(minutes=1), 60.0)])
def test_retry_after_takes_seconds_or_a_timedelta(delay: timedelta | float, seconds: float) -> None:
    error = RetryAfter(delay)
    assert error.delay == seconds
    assert str(error) == f"asked to be tried again in {seconds:g} s"
    assert str(RetryAfter(delay, "busy")) == "busy"


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_retry_after_refuses_a_wait_that_cannot_be(delay: timedelta | float) -> None:
    with pytest.raises(ValueError, match="RetryAfter takes a delay of 0 seconds or more"):
        RetryAfter(delay)

from __future__ import annotations

import pytest

from bullq.errors import GiveUp, RetryAfter
from bullq.jobs.failure import is_one_of, reason_of
from bullq.jobs.retry import wait_after


def grouped(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    """Give what a TaskGroup inside a TaskGroup raises."""
    return BaseExceptionGroup("tasks", [BaseExceptionGroup("inner", errors)])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no"), "no"),
        (ValueError(), "ValueError"),
        (KeyError("till"), "KeyError: 'till'"),
        (SystemExit(), "SystemExit"),
        (grouped(KeyError("till")), "tasks (1 sub-exception): KeyError: 'till'"),
        (
            grouped(*map(ValueError, "abcde")),
            "tasks (1 sub-exception): ValueError: a; ValueError: b; ValueError: c",
        ),
    ],
)
def test_a_reason_names_what_has_gone_wrong(error: BaseException, reason: str) -> None:
    assert reason_of(error) == reason


def test_what_a_task_group_has_gathered_counts_as_what_it_is() -> None:
    assert is_one_of(grouped(ValueError(), GiveUp()), (GiveUp,))
    assert not is_one_of(grouped(ValueError()), (GiveUp,))
    assert wait_after(grouped(RetryAfter(1), ValueError(), RetryAfter(2)), 50, 1) == 2_000
    assert wait_after(grouped(ValueError()), 50, 1) == 50

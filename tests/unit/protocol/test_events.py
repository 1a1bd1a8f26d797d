from __future__ import annotations

import pytest

from bullq.protocol.events import Ended, read_ended


def test_a_completed_job_is_read_with_its_result() -> None:
    entry = {"event": "completed", "jobId": "a", "returnvalue": '{"x":1}', "prev": "active"}
    assert read_ended(entry) == Ended("a", completed=True, value='{"x":1}')


def test_a_completed_job_without_a_result_gave_null() -> None:
    assert read_ended({"event": "completed", "jobId": "a"}) == Ended(
        "a", completed=True, value="null"
    )


def test_a_failed_job_is_read_with_its_reason() -> None:
    entry = {"event": "failed", "jobId": "a", "failedReason": "no money"}
    assert read_ended(entry) == Ended("a", completed=False, value="no money")


@pytest.mark.parametrize(
    "entry",
    [
        {"event": "waiting", "jobId": "a", "prev": "failed"},
        {"event": "delayed", "jobId": "a", "delay": "17"},
        {"event": "retries-exhausted", "jobId": "a", "attemptsMade": "3"},
        {"event": "drained"},
        {"event": "completed"},
        {},
    ],
)
def test_nothing_else_ends_a_job(entry: dict[str, str]) -> None:
    assert read_ended(entry) is None

from __future__ import annotations

from bullq.protocol.states import LISTED_STATES, JobState


def test_only_waiting_jobs_are_kept_under_another_name() -> None:
    assert JobState.WAITING.key == "wait"
    assert {state for state in JobState if state.key != state.value} == {JobState.WAITING}


def test_waiting_and_active_jobs_are_in_lists_and_others_in_sorted_sets() -> None:
    assert {state for state in JobState if state.is_list} == {JobState.WAITING, JobState.ACTIVE}


def test_a_job_ends_completed_or_failed() -> None:
    assert {state for state in JobState if state.is_final} == {JobState.COMPLETED, JobState.FAILED}


def test_an_unknown_state_is_not_listed() -> None:
    assert set(LISTED_STATES) == set(JobState) - {JobState.UNKNOWN}

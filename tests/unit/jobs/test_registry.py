from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from bullq.errors import JobDefinitionError, UnknownJobError
from bullq.jobs.job import Job, job
from bullq.jobs.registry import JobRegistry


class Order(BaseModel):
    order_id: int


def make(queue: str, name: str) -> Job[Any, Any]:
    @job(queue=queue, name=name)
    def function(order: Order) -> None: ...

    return function


MAIL, BILL, NIGHTLY = make("default", "mail"), make("default", "bill"), make("scheduled", "bill")
JOBS = JobRegistry([MAIL, BILL, NIGHTLY])


def refusal(queue: str | None, name: str) -> str:
    with pytest.raises(UnknownJobError) as caught:
        JOBS.find_anywhere(name) if queue is None else JOBS.find(queue, name)
    return str(caught.value)


def test_jobs_are_found_by_queue_and_name() -> None:
    assert JOBS.find("default", "mail") is MAIL
    assert JOBS.find("scheduled", "bill") is NIGHTLY
    assert JOBS.on("default") == [MAIL, BILL]
    assert JOBS.on("nowhere") == []
    assert JOBS.queues() == {"default", "scheduled"}
    assert (len(JOBS), list(JOBS)) == (3, [MAIL, BILL, NIGHTLY])


def test_a_reference_is_a_unique_name_or_queue_and_name() -> None:
    assert JOBS.find_anywhere("mail") is MAIL
    assert JOBS.find_anywhere("scheduled/bill") is NIGHTLY


def test_a_name_on_several_queues_asks_which() -> None:
    assert refusal(None, "bill") == (
        "Several queues have a job 'bill'; say which: default/bill, scheduled/bill"
    )


def test_an_unknown_name_is_refused_with_the_nearest_and_all_that_are_known() -> None:
    assert refusal("default", "mial") == (
        "No job is called 'mial' on the queue 'default'; did you mean mail? known: bill, mail"
    )
    assert refusal(None, "xyz") == ("No job is called 'xyz' in this application; known: bill, mail")


def test_an_unknown_queue_has_no_jobs() -> None:
    assert refusal("nowhere", "mail") == (
        "No job is called 'mail': there are no jobs on the queue 'nowhere'"
    )
    assert refusal(None, "nowhere/mail") == refusal("nowhere", "mail")


def test_an_application_without_jobs_says_so() -> None:
    with pytest.raises(UnknownJobError, match="there are no jobs in this application"):
        JobRegistry().find_anywhere("mail")


def test_two_of_one_name_on_one_queue_are_refused_with_both_places() -> None:
    with pytest.raises(JobDefinitionError) as caught:
        JobRegistry([MAIL, make("default", "mail"), make("default", "bill"), BILL])
    assert len(caught.value.problems) == 2
    assert "give one of them another name with @job(name=...)" in caught.value.problems[0]
    assert caught.value.problems[0].count(MAIL.location) == 2


def test_the_same_job_given_twice_is_one_job() -> None:
    assert len(JobRegistry([MAIL, MAIL])) == 1


def test_problems_of_the_jobs_themselves_are_told_once_each() -> None:
    @job(queue="default")
    def wrong(order: int) -> None: ...

    with pytest.raises(JobDefinitionError) as caught:
        JobRegistry([wrong, MAIL, wrong])
    assert len(caught.value.problems) == 1

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from bullq.errors import JobDefinitionError
from bullq.jobs.job import Job, job
from bullq.queues.schedules import Schedule
from bullq.worker.recurring import declared_schedule


class Nothing(BaseModel):
    pages: int = 5


class Order(BaseModel):
    order_id: int


def make(payload: type[BaseModel] = Nothing, **options: Any) -> Job[Any, Any]:
    def report(data: BaseModel) -> None: ...

    report.__annotations__["data"] = payload
    made: Job[Any, Any] = job(queue="scheduled", name="report", **options)(report)
    return made


def test_a_job_without_a_schedule_declares_none() -> None:
    assert declared_schedule(make()) is None
    assert declared_schedule(make(tz="Europe/Berlin")) is None


def test_a_job_s_schedule_has_an_id_of_its_own() -> None:
    assert declared_schedule(make(cron="0 3 * * *", tz="Europe/Berlin")) == Schedule(
        id="bullq-report", cron="0 3 * * *", tz="Europe/Berlin"
    )
    assert declared_schedule(make(every=5)) == Schedule(id="bullq-report", every_ms=5_000)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cron": "often"}, "is no cron expression"),
        ({"cron": "* * * * *", "every": 5}, "has both cron and every"),
        ({"cron": "* * * * *", "tz": "Mars/Phobos"}, "is no time zone"),
        ({"every": 0.5}, "every is at least 1 s, not 500 ms"),
        ({"every": 5, "payload": Order}, "payload needs a default for each field: payload: order_"),
    ],
)
def test_a_schedule_that_cannot_be_is_a_problem_of_the_job(options: Any, words: str) -> None:
    made = make(**options)
    with pytest.raises(JobDefinitionError) as caught:
        declared_schedule(made)
    [problem] = caught.value.problems
    assert problem.startswith(f"{made.location}: ")
    assert words in problem

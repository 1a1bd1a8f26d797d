from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Bullq, Job, JobDefinitionError, job
from bullq.engines.inngest.cron import trigger_of
from bullq.settings import Settings


class Nothing(BaseModel):
    pages: int = 5


def make(**options: Any) -> Job[Any, Any]:
    def report(data: Nothing) -> None: ...

    made: Job[Any, Any] = job(queue="scheduled", name="report", **options)(report)
    return made


def test_a_job_without_a_schedule_has_no_trigger() -> None:
    assert trigger_of(make()) is None


@pytest.mark.parametrize(
    ("options", "cron"),
    [
        ({"cron": "0 3 * * 1-5"}, "0 3 * * 1-5"),
        ({"cron": "0 0 3 * * *"}, "0 3 * * *"),
        ({"cron": "0 3 * * *", "tz": "Europe/Berlin"}, "TZ=Europe/Berlin 0 3 * * *"),
        ({"every": timedelta(minutes=1)}, "*/1 * * * *"),
        ({"every": timedelta(minutes=15)}, "*/15 * * * *"),
        ({"every": timedelta(hours=1)}, "0 * * * *"),
        ({"every": timedelta(hours=6)}, "0 */6 * * *"),
        ({"every": timedelta(days=1)}, "0 0 * * *"),
    ],
)
def test_a_schedule_is_written_as_inngest_reads_it(options: dict[str, Any], cron: str) -> None:
    assert trigger_of(make(**options)) == cron


@pytest.mark.parametrize(
    "options",
    [
        {"cron": "*/10 * * * * *"},
        {"every": timedelta(seconds=30)},
        {"every": timedelta(minutes=7)},
        {"every": timedelta(hours=5)},
        {"every": timedelta(days=2)},
    ],
)
def test_a_schedule_that_inngest_cannot_keep_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(JobDefinitionError, match="Inngest cannot keep its schedule"):
        trigger_of(make(**options))


def test_it_is_refused_at_the_start_where_inngest_is_to_keep_it() -> None:
    often = make(every=30)
    assert len(Bullq(jobs=[often], settings=Settings()).jobs) == 1
    settings = Settings(BULLQ_RECURRING_ON="inngest")  # type: ignore[arg-type]
    with pytest.raises(JobDefinitionError, match="Inngest cannot keep its schedule"):
        _ = Bullq(jobs=[often], settings=settings).jobs

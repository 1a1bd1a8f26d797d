from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from bullq import (
    ActionRefused,
    Bullq,
    InvalidOptionError,
    Job,
    Observer,
    PayloadError,
    Schedule,
    job,
)
from bullq.queues.timetable import Timetable
from tests.conftest import AppFactory


class Report(BaseModel):
    country: str


@pytest.fixture
def report() -> Job[Report, str]:
    @job(queue="default", name="report", attempts=4)
    async def run(data: Report) -> str:
        return data.country

    return run


@pytest.fixture
def app(make_app: AppFactory, report: Job[Report, str]) -> Bullq:
    return make_app(report)


@pytest.fixture
def timetable(app: Bullq) -> Timetable:
    return app.schedules


async def test_a_schedule_runs_its_job_with_its_own_payload(
    app: Bullq, timetable: Timetable, report: Job[Report, str]
) -> None:
    for country in ("de", "fr"):
        schedule = Schedule(id=f"nightly-{country}", cron="0 3 * * *", tz="Europe/Berlin")
        assert await timetable.put(schedule, report, Report(country=country))
        assert not await timetable.put(schedule, report, Report(country=country))
    await timetable.run_now("default", "nightly-fr")
    await app.worker("default", Observer()).run(burst=True)
    queue = app.queue("default")
    [done] = [event async for event in queue.events(since="0", quiet_for=0.05) if event.result]
    assert done.result == "fr"
    with pytest.raises(ActionRefused, match="has no schedule 'weekly'"):
        await timetable.run_now("default", "weekly")


async def test_schedules_are_listed_as_they_are_the_next_one_first(
    timetable: Timetable, report: Job[Report, str]
) -> None:
    start = datetime.now(UTC) + timedelta(days=2)
    end = start + timedelta(days=7)
    await timetable.put(
        Schedule(id="later", cron="0 3 * * *", start=start, end=end, limit=5),
        report,
        Report(country="de"),
    )
    await timetable.put(Schedule(id="hourly", every_ms=3_600_000), report, Report(country="fr"))
    hourly, later = await timetable.on("default")
    assert (hourly.id, hourly.every_ms, hourly.cron, hourly.tz) == ("hourly", 3_600_000, None, None)
    assert (later.cron, later.tz, later.limit, later.runs) == ("0 3 * * *", "UTC", 5, 1)
    assert later.start_ms == round(start.timestamp() * 1000)
    assert later.end_ms == round(end.timestamp() * 1000)
    assert later.next_ms >= later.start_ms
    assert (later.job, later.data, later.options["attempts"]) == ("report", {"country": "de"}, 4)
    assert await timetable.find("default", "hourly") == hourly


async def test_a_schedule_is_changed_and_removed(
    timetable: Timetable, report: Job[Report, str]
) -> None:
    await timetable.put(Schedule(id="often", every_ms=60_000), report, Report(country="de"))
    assert await timetable.put(Schedule(id="often", every_ms=90_000), report, Report(country="de"))
    [often] = await timetable.on("default")
    assert often.every_ms == 90_000
    assert await timetable.remove("default", "often")
    assert not await timetable.remove("default", "often")
    assert await timetable.on("default") == []


async def test_what_cannot_be_scheduled_is_refused(
    timetable: Timetable, report: Job[Report, str]
) -> None:
    with pytest.raises(InvalidOptionError, match="take another one"):
        await timetable.put(Schedule(id="bullq-x", every_ms=60_000), report, Report(country="de"))
    with pytest.raises(PayloadError, match="country: Field required"):
        await timetable.put(Schedule(id="x", every_ms=60_000), report, {})  # type: ignore[misc]
    assert await timetable.on("default") == []

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bullq.errors import InvalidOptionError
from bullq.queues.schedules import Schedule


@pytest.mark.parametrize(
    "cron",
    ["* * * * *", "*/5 * * * *", "0 3 * * MON-FRI", "30 0 3 * * *", "0 0 29 2 *", "0 0 L * *"],
)
def test_a_cron_schedule_always_tells_its_zone(cron: str) -> None:
    assert Schedule(id="x", cron=cron).repeat == {"pattern": cron, "tz": "UTC"}
    berlin = Schedule(id="x", cron=cron, tz="Europe/Berlin")
    assert berlin.repeat == {"pattern": cron, "tz": "Europe/Berlin"}


def test_an_interval_has_no_zone() -> None:
    assert Schedule(id="x", every_ms=1_000, tz="Europe/Berlin").repeat == {"every": 1_000}


def test_bounds_are_told_in_milliseconds() -> None:
    schedule = Schedule(
        id="x",
        every_ms=5_000,
        start=datetime(2026, 1, 1, tzinfo=UTC),
        end=datetime(2026, 1, 2, tzinfo=UTC),
        limit=3,
    )
    assert schedule.repeat == {
        "every": 5_000,
        "startDate": 1_767_225_600_000,
        "endDate": 1_767_312_000_000,
        "limit": 3,
    }


@pytest.mark.parametrize(
    "cron", ["", "* * *", "61 * * * *", "* * * * * * *", "H * * * *", "R * * * *", "every day"]
)
def test_what_is_no_cron_is_refused_with_its_form(cron: str) -> None:
    with pytest.raises(InvalidOptionError, match="is no cron expression; it has 5 fields") as told:
        Schedule(id="nightly", cron=cron)
    assert str(told.value).startswith(f"Schedule 'nightly': {cron!r} ")


def test_a_date_that_never_comes_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="names no date that ever comes"):
        Schedule(id="x", cron="0 0 31 2 *")


@pytest.mark.parametrize("tz", ["", "Mars/Phobos", "../etc/passwd", "Europe"])
@pytest.mark.parametrize("kind", [{"cron": "* * * * *"}, {"every_ms": 1_000}])
def test_what_is_no_time_zone_is_refused(kind: Any, tz: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"is no time zone; name one like 'Europe/Berlin'"):
        Schedule(id="x", tz=tz, **kind)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "has neither cron nor every; give one of them"),
        ({"cron": "* * * * *", "every_ms": 1_000}, "has both cron and every; give one of them"),
        ({"every_ms": 999}, "every is at least 1 s, not 999 ms"),
        ({"every_ms": 1_000, "id": ""}, "A schedule's id is not empty and has no ':'"),
        ({"every_ms": 1_000, "id": "a:b"}, "A schedule's id is not empty and has no ':'"),
        ({"every_ms": 1_000, "start": datetime(2026, 1, 1)}, "start needs a time zone"),  # noqa: DTZ001
        ({"every_ms": 1_000, "end": datetime(2026, 1, 1)}, "end needs a time zone"),  # noqa: DTZ001
    ],
)
def test_a_schedule_that_cannot_be_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        Schedule(**{"id": "x", **arguments})

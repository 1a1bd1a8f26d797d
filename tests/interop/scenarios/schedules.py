"""Job schedulers in all their forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.interop.cell import Ends, Phase, Scenario
from tests.interop.hands import Hand

_NIGHTLY = {"pattern": "0 3 * * *", "tz": "UTC"}


def _days(count: int) -> str:
    return (datetime.now(UTC) + timedelta(days=count)).isoformat()


def _schedule(
    feature: str, repeat: dict[str, Any], *, count: int = 0, then: str = "", **options: Any
) -> Scenario:
    async def act(hand: Hand) -> None:
        await hand.schedule("default", "s", repeat, {"result": 1}, {"attempts": 1, **options})
        if then == "removed":
            await hand.unschedule("default", "s")
        if then == "run now":
            await hand.queue("default", "promote_all")

    ends = (Ends(count=count),) if count else ()
    return Scenario(feature, (Phase(act, ends),), tells_drained=False)


SCHEDULES = [
    _schedule("every", {"every": 1000}, count=2),
    _schedule(
        "cron with tz",
        {"pattern": "30 2 3 * * *", "tz": "America/New_York"},
        then="run now",
        count=1,
    ),
    _schedule("limit", {"every": 1000, "limit": 1}, count=1),
    _schedule(
        "options of the template",
        _NIGHTLY,
        attempts=4,
        backoff={"type": "fixed", "delay": 10},
        removeOnComplete=5,
    ),
    _schedule("start date", {**_NIGHTLY, "startDate": _days(3)}),
    _schedule("end date", {**_NIGHTLY, "endDate": _days(9)}),
    _schedule("schedule removed", {"every": 60_000}, then="removed"),
]

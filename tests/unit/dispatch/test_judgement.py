from __future__ import annotations

import pytest

from bullq import Reason
from bullq.dispatch.judgement import Course, Judgement, Sight, judge
from bullq.store.arbiter import Condition, Pickup, Standing

NOW = 1_700_000_000_000


def seen(standing: Standing = Standing.WAITING, live: int | None = 1, **queue: int) -> Sight:
    fields = dict.fromkeys(Condition._fields, 0) | {"claimed_at_ms": NOW - 1_000} | queue
    return Sight(standing, Condition(**fields), NOW, live)


@pytest.mark.parametrize(
    ("standing", "course", "state"),
    [
        (Standing.PICKED, Course.STAYS, "started"),
        (Standing.GONE, Course.STAYS, "started"),
        (Standing.DELAYED, Course.STAYS, "delayed"),
        (Standing.PARENT, Course.STAYS, "queued"),
        (Standing.SCHEDULE, Course.STAYS, "queued"),
        (Standing.ROUTED, Course.SETTLE, "queued"),
        (Standing.ABSENT, Course.SETTLE, "queued"),
        (Standing.NOWHERE, Course.SETTLE, "queued"),
    ],
)
def test_a_job_that_does_not_wait_is_judged_by_where_it_is(
    standing: Standing, course: Course, state: str
) -> None:
    for pickup in Pickup:
        judgement = judge(seen(standing, live=0), pickup, time_is_up=False)
        assert (judgement.course, judgement.state) == (course, state)


@pytest.mark.parametrize("pickup", list(Pickup))
def test_a_paused_queue_never_falls_back(pickup: Pickup) -> None:
    judgement = judge(seen(live=0, paused=1), pickup, time_is_up=True)
    assert judgement == Judgement(Course.STAYS, "queued", Reason.PAUSED)


@pytest.mark.parametrize("pickup", list(Pickup))
def test_without_workers_nobody_waits(pickup: Pickup) -> None:
    judgement = judge(seen(live=0), pickup, time_is_up=False)
    assert judgement == Judgement(Course.SETTLE, "queued", Reason.NO_WORKERS)


def test_a_worker_that_is_not_in_the_list_but_keeps_a_lock_is_one() -> None:
    assert judge(seen(live=0, is_held=1), Pickup.ALIVE, time_is_up=False).course is Course.WAIT


def test_while_there_is_time_it_waits() -> None:
    for live in (1, None):
        assert judge(seen(live=live), Pickup.STARTED, time_is_up=False).course is Course.WAIT


def test_not_begun_in_time_is_not_begun_where_the_job_says_so() -> None:
    judgement = judge(seen(is_held=1), Pickup.STARTED, time_is_up=True)
    assert judgement == Judgement(Course.SETTLE, "queued", Reason.NOT_STARTED)


@pytest.mark.parametrize(
    ("queue", "course", "reason"),
    [
        ({}, Course.STAYS, Reason.BACKLOG),
        ({"claimed_at_ms": NOW - 60_000, "is_held": 1}, Course.STAYS, Reason.BACKLOG),
        ({"limited_for_ms": 5}, Course.STAYS, Reason.RATE_LIMITED),
        ({"concurrency": 3, "active": 3}, Course.STAYS, Reason.AT_CONCURRENCY),
        ({"concurrency": 3, "active": 2}, Course.STAYS, Reason.BACKLOG),
        ({"claimed_at_ms": NOW - 10_000}, Course.SETTLE, Reason.WORKERS_STUCK),
        ({"claimed_at_ms": 0}, Course.SETTLE, Reason.WORKERS_STUCK),
    ],
)
def test_live_workers_excuse_what_they_get_on_with(
    queue: dict[str, int], course: Course, reason: Reason
) -> None:
    judgement = judge(seen(**queue), Pickup.ALIVE, time_is_up=True)
    assert judgement == Judgement(course, "queued", reason)


def test_every_reason_has_a_sentence() -> None:
    assert all(reason.sentence for reason in Reason)

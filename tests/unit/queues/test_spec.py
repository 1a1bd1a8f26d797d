from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bullq.errors import InvalidOptionError
from bullq.jobs.retry import Backoff
from bullq.queues.spec import DATA_SYNC, DEFAULT, SCHEDULED, Keep, QueueSpec, RateLimit
from bullq.settings import QueueOptions


def test_the_standard_queues_differ_as_their_work_does() -> None:
    assert [spec.name for spec in (DEFAULT, DATA_SYNC, SCHEDULED)] == [
        "default",
        "data-sync",
        "scheduled",
    ]
    assert DEFAULT.concurrency > SCHEDULED.concurrency > DATA_SYNC.concurrency
    assert DATA_SYNC.lock_duration_ms > DEFAULT.lock_duration_ms == 30_000


@pytest.mark.parametrize("name", ["", "a:b"])
def test_a_name_that_is_no_part_of_a_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidOptionError, match="A queue's name"):
        QueueSpec(name=name)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("concurrency", 0, "concurrency is a whole number from 1, not 0"),
        ("concurrency", 1.5, "concurrency is a whole number from 1, not 1.5"),
        ("concurrency", True, "concurrency is a whole number from 1, not True"),
        ("attempts", 0, "attempts is a whole number from 1, not 0"),
        ("max_stalled_count", -1, "max_stalled_count is a whole number from 0, not -1"),
        ("lock_duration", 0.5, "lock_duration is at least 1 second, not 0.5"),
        ("lock_duration", -1, "lock_duration: a duration is 0 seconds or more, not -1"),
        ("stalled_interval", timedelta(milliseconds=1), "stalled_interval is at least 1 second"),
        ("job_timeout", -1, "job_timeout: a duration is 0 seconds or more, not -1"),
        ("drain_timeout", float("nan"), "drain_timeout: a duration is 0 seconds or more, not nan"),
        ("drain_timeout", None, "drain_timeout: "),
    ],
)
def test_an_impossible_option_is_refused_by_queue_option_and_value(
    option: str, value: Any, words: str
) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        QueueSpec(name="mail", **{option: value})
    assert str(caught.value).startswith("Queue 'mail': ")
    assert words in str(caught.value)


def test_no_drain_and_no_timeout_are_possible() -> None:
    spec = QueueSpec(name="mail", drain_timeout=0, job_timeout=None, max_stalled_count=0)
    assert spec.drain_timeout == 0


@pytest.mark.parametrize(
    ("keep", "option"),
    [
        (Keep(), {"count": -1}),
        (Keep(count=0), {"count": 0}),
        (Keep(count=5), {"count": 5}),
        (Keep(age=timedelta(days=1)), {"age": 86_400}),
        (Keep(age=0.2), {"age": 1}),
        (Keep(count=5, age=90.9), {"count": 5, "age": 90}),
    ],
)
def test_retention_is_told_as_bullmq_takes_it(keep: Keep, option: dict[str, int]) -> None:
    assert keep.option == option


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"count": -1}, "count is 0 or more, not -1"), ({"age": -1}, "Keep: age: a duration is 0")],
)
def test_a_retention_that_cannot_be_is_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        Keep(**arguments)


def test_a_rate_limit_is_told_as_bullmq_takes_it() -> None:
    assert RateLimit(10, timedelta(seconds=1)).limiter == {"max": 10, "duration": 1_000}
    assert RateLimit(max=1, per=0.5).limiter == {"max": 1, "duration": 500}


@pytest.mark.parametrize(("most", "per"), [(0, 1), (1, 0), (1, 0.0001), (1, -1)])
def test_a_rate_limit_that_lets_nothing_begin_is_refused(most: int, per: float) -> None:
    with pytest.raises(InvalidOptionError, match=r"[Rr]ate limit"):
        RateLimit(most, per)


def override(spec: QueueSpec = DEFAULT, **given: Any) -> QueueSpec:
    return spec.overridden(QueueOptions(**given))


def test_settings_that_say_nothing_change_nothing() -> None:
    assert override() == DEFAULT


def test_settings_change_what_they_name_and_leave_the_rest() -> None:
    changed = override(
        concurrency=5,
        lock_duration="45s",
        max_stalled_count=3,
        attempts=9,
        job_timeout="1m",
        drain_timeout=0,
        keep_logs=1,
        metrics_for="7d",
    )
    assert (changed.concurrency, changed.max_stalled_count, changed.attempts) == (5, 3, 9)
    assert changed.lock_duration_ms == 45_000
    assert changed.stalled_interval == DEFAULT.stalled_interval
    assert (changed.job_timeout, changed.drain_timeout) == (timedelta(minutes=1), timedelta(0))
    assert changed.keep_logs == 1
    assert changed.metrics_minutes == 7 * 24 * 60
    assert changed.backoff == DEFAULT.backoff


def test_a_part_of_a_backoff_can_be_changed() -> None:
    spec = QueueSpec(name="mail", backoff=Backoff("fixed", 100, 0.2))
    assert override(spec, backoff_delay="2s").backoff == Backoff("fixed", 2_000, 0.2)
    assert override(spec, backoff_jitter=0).backoff == Backoff("fixed", 100, 0)
    assert override(spec, backoff="exponential").backoff == Backoff("exponential", 100, 0.2)


def test_a_part_of_a_retention_can_be_changed() -> None:
    spec = QueueSpec(name="mail", keep_completed=Keep(count=5, age=60), keep_failed=Keep(count=6))
    changed = override(spec, keep_completed=9, keep_failed_for="1h")
    assert changed.keep_completed == Keep(count=9, age=60)
    assert changed.keep_failed == Keep(count=6, age=timedelta(hours=1))


def test_a_rate_limit_can_be_set_and_changed_in_part() -> None:
    assert override(rate_limit_max=5, rate_limit_duration="1s").rate_limit == RateLimit(
        5, timedelta(seconds=1)
    )
    spec = QueueSpec(name="mail", rate_limit=RateLimit(5, 2))
    assert override(spec, rate_limit_max=7).rate_limit == RateLimit(7, timedelta(seconds=2))


@pytest.mark.parametrize("given", [{"rate_limit_max": 5}, {"rate_limit_duration": "1s"}])
def test_half_a_rate_limit_is_refused(given: Any) -> None:
    with pytest.raises(InvalidOptionError, match="needs both rate_limit_max and"):
        override(**given)

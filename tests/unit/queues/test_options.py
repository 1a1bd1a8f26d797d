from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from bullq.errors import InvalidOptionError
from bullq.jobs.dispatching import DeduplicationMode, DispatchOptions
from bullq.jobs.job import Job, job
from bullq.jobs.retry import Backoff
from bullq.queues.options import job_options
from bullq.queues.spec import Keep, QueueSpec


class Order(BaseModel):
    order_id: int


SPEC = QueueSpec(
    name="default",
    attempts=4,
    backoff=Backoff("fixed", 500),
    keep_completed=Keep(count=10),
    keep_failed=Keep(age=timedelta(hours=1)),
    keep_logs=7,
)


def make(**options: Any) -> Job[Any, Any]:
    @job(queue="default", **options)
    def function(order: Order) -> None: ...

    made: Job[Any, Any] = function
    return made


def test_where_nothing_is_said_the_queue_s_spec_holds() -> None:
    assert job_options(make(), SPEC) == {
        "attempts": 4,
        "backoff": {"type": "fixed", "delay": 500},
        "removeOnComplete": {"count": 10},
        "removeOnFail": {"age": 3_600},
        "keepLogs": 7,
    }


def test_the_job_beats_the_queue() -> None:
    own = make(attempts=2, backoff=Backoff("exponential", 100, 0.5), priority=9)
    options = job_options(own, SPEC)
    assert options["attempts"] == 2
    assert options["backoff"] == {"type": "exponential", "delay": 100, "jitter": 0.5}
    assert options["priority"] == 9


def test_the_dispatch_beats_the_job() -> None:
    given = DispatchOptions(attempts=1, priority=3, delay=timedelta(minutes=5))
    options = job_options(make(attempts=2, priority=9), SPEC, given)
    assert (options["attempts"], options["priority"], options["delay"]) == (1, 3, 300_000)


def test_priority_0_takes_a_job_s_own_priority_away() -> None:
    assert "priority" not in job_options(make(priority=9), SPEC, DispatchOptions(priority=0))


@pytest.mark.parametrize("attempts", [0, -1])
def test_attempts_that_cannot_be_are_passed_on_to_be_refused(attempts: int) -> None:
    options = job_options(make(), SPEC, DispatchOptions(attempts=attempts))
    assert options["attempts"] == attempts


def test_lifo_beats_a_job_s_own_priority_but_not_one_said_beside_it() -> None:
    options = job_options(make(priority=9), SPEC, DispatchOptions(lifo=True))
    assert options["lifo"] is True
    assert "priority" not in options
    both = job_options(make(), SPEC, DispatchOptions(lifo=True, priority=3))
    assert (both["lifo"], both["priority"]) == (True, 3), "for the queue to refuse"


@pytest.mark.parametrize("delay", [None, 0, timedelta(0)])
def test_no_delay_is_no_option(delay: Any) -> None:
    assert "delay" not in job_options(make(), SPEC, DispatchOptions(delay=delay))


@pytest.mark.parametrize("delay", [-5, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_delay_that_cannot_be_is_refused(delay: Any) -> None:
    with pytest.raises(ValueError, match="a duration is 0 seconds or more"):
        job_options(make(), SPEC, DispatchOptions(delay=delay))


def test_deduplication_is_by_id_and_perhaps_for_a_time() -> None:
    given = DispatchOptions(deduplication_id="d")
    assert job_options(make(), SPEC, given)["deduplication"] == {"id": "d"}
    given = DispatchOptions(deduplication_id="d", deduplication_ttl=1.5)
    assert job_options(make(), SPEC, given)["deduplication"] == {"id": "d", "ttl": 1_500}


def test_a_time_to_deduplicate_without_an_id_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="say deduplication_id, too"):
        job_options(make(), SPEC, DispatchOptions(deduplication_ttl=60))


def test_logs_without_a_bound_say_nothing() -> None:
    assert "keepLogs" not in job_options(make(), QueueSpec(name="default", keep_logs=None))


@pytest.mark.parametrize(
    ("mode", "stored"),
    [
        ("first", {"ttl": 60_000}),
        ("replace", {"ttl": 60_000, "replace": True}),
        ("debounce", {"ttl": 60_000, "replace": True, "extend": True}),
        ("last", {"ttl": 60_000, "keepLastIfActive": True}),
    ],
)
def test_a_deduplication_mode_says_which_of_the_jobs_runs(
    mode: DeduplicationMode, stored: dict[str, Any]
) -> None:
    given = DispatchOptions(
        delay=1, deduplication_id="d", deduplication_ttl=60, deduplication_mode=mode
    )
    assert job_options(make(), SPEC, given)["deduplication"] == {"id": "d", **stored}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"deduplication_mode": "last"}, "say deduplication_id, too"),
        ({"deduplication_mode": "replace", "deduplication_id": "d"}, "give a delay"),
        (
            {"deduplication_mode": "debounce", "deduplication_id": "d", "delay": 1},
            "counts deduplication_ttl anew",
        ),
        ({"deduplication_mode": "best", "deduplication_id": "d"}, "is one of 'first', 'replace'"),
    ],
)
def test_a_deduplication_mode_that_cannot_work_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidOptionError, match=why):
        job_options(make(), SPEC, DispatchOptions(**given))

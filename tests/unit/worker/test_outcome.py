from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bullq.errors import RetryAfter
from bullq.protocol.record import JobRecord
from bullq.protocol.terms import FinishTerms
from bullq.store.scripts import Delay, Finish, Retry, Settlement
from bullq.worker.outcome import Failure, completed, failed

FIVE = {"attempts": 5}
NO_PARENT = {"fpof": False, "cpof": False, "idof": False, "rdof": False}


def record(options: Any = None, **fields: str) -> JobRecord:
    stored = json.dumps(options) if options is not None else "{}"
    return JobRecord("order-7", {"name": "mail", "opts": stored, **fields})


def fail(job: JobRecord, error: BaseException, *, retriable: bool = True) -> Settlement:
    return failed(job, "token", Failure(raised(error), retriable))


def raised(error: BaseException) -> BaseException:
    try:
        raise error  # noqa: TRY301 - for a traceback
    except BaseException as caught:  # noqa: BLE001 - whatever a test raises
        return caught


def fail_for_good(options: Any = None, **fields: str) -> Finish:
    settlement = fail(record(options, **fields), ValueError("no"))
    assert isinstance(settlement, Finish)
    return settlement


class Unprintable(Exception):  # noqa: N818 - named for what it is
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_a_result_completes_the_job() -> None:
    settlement = completed(record({"attempts": 3, "removeOnComplete": True}), "token", '{"a":1}')
    terms = FinishTerms(keep={"count": 0}, attempts=3, parent=NO_PARENT)
    assert settlement == Finish(
        "order-7", "token", {}, completed=True, value='{"a":1}', terms=terms
    )


def test_a_job_of_one_attempt_fails_for_good() -> None:
    settlement = fail_for_good({"removeOnFail": 5})
    assert (settlement.completed, settlement.value) == (False, "no")
    assert settlement.terms.keep == {"count": 5}
    assert settlement.fields["failedReason"] == "no"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no money"), "no money"),
        (ValueError(), "ValueError"),
        (KeyError("order"), "KeyError: 'order'"),
        (KeyError(), "KeyError: "),
        (SystemExit(3), "3"),
        (ValueError("line\nbreak"), "line\nbreak"),
        (ValueError("caf\udce9"), "caf\\udce9"),
        (Unprintable(), "Unprintable (whose message cannot be read: its __str__ raises)"),
    ],
)
def test_the_reason_is_the_message_or_what_helps_where_there_is_none(
    error: BaseException, reason: str
) -> None:
    settlement = fail(record(), error)
    assert isinstance(settlement, Finish)
    assert settlement.value == settlement.fields["failedReason"] == reason
    settlement.value.encode()


def test_the_stacktrace_is_the_traceback() -> None:
    [entry] = json.loads(fail_for_good().fields["stacktrace"])
    assert entry.startswith("Traceback (most recent call last):\n")
    assert entry.endswith("ValueError: no\n")
    assert "in raised" in entry


@pytest.mark.parametrize("error", [ValueError("caf\udce9"), Unprintable()])
def test_a_traceback_can_be_stored_whatever_the_error_says(error: Exception) -> None:
    [entry] = JobRecord("a", {**fail(record(), error).fields}).stacktrace
    assert type(error).__name__ in entry


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        ({}, ["one", "two", "new"]),
        ({"stackTraceLimit": 0}, []),
        ({"stackTraceLimit": 1}, ["new"]),
        ({"stackTraceLimit": 2}, ["two", "new"]),
        ({"stackTraceLimit": 9}, ["one", "two", "new"]),
        ({"stackTraceLimit": "x"}, ["one", "two", "new"]),
    ],
)
def test_traces_are_kept_oldest_first_within_the_limit(limit: Any, kept: list[str]) -> None:
    settlement = fail_for_good(limit, stacktrace='["one","two"]')
    traces = [
        trace if trace in {"one", "two"} else "new"
        for trace in json.loads(settlement.fields["stacktrace"])
    ]
    assert traces == kept


def test_a_broken_stacktrace_makes_room_for_the_new_one() -> None:
    assert len(json.loads(fail_for_good(stacktrace="{").fields["stacktrace"])) == 1


def test_without_backoff_the_next_attempt_may_begin_at_once() -> None:
    assert isinstance(fail(record(FIVE), ValueError()), Retry)


@pytest.mark.parametrize(("options", "lifo"), [({}, False), ({"lifo": True}, True)])
def test_a_lifo_job_is_retried_first(options: Any, *, lifo: bool) -> None:
    settlement = fail(record({**FIVE, **options}), ValueError())
    assert isinstance(settlement, Retry)
    assert settlement.lifo is lifo


@pytest.mark.parametrize(
    ("made", "kind"), [("0", Retry), ("3", Retry), ("4", Finish), ("9", Finish)]
)
def test_attempts_are_counted_with_the_one_that_has_just_ended(
    made: str, kind: type[Settlement]
) -> None:
    assert isinstance(fail(record(FIVE, atm=made), ValueError()), kind)


@pytest.mark.parametrize(
    ("backoff", "made", "wait"),
    [
        (700, "0", 700),
        (0.4, "0", None),
        (0, "0", None),
        (None, "0", None),
        ({"type": "fixed", "delay": 700}, "3", 700),
        ({"type": "fixed"}, "0", None),
        ({"type": "fixed", "delay": 0}, "0", None),
        ({"type": "exponential", "delay": 1000}, "0", 1_000),
        ({"type": "exponential", "delay": 1000}, "3", 8_000),
    ],
)
def test_the_wait_is_what_the_job_s_backoff_says(backoff: Any, made: str, wait: int | None) -> None:
    settlement = fail(record({**FIVE, "backoff": backoff}, atm=made), ValueError())
    if wait is None:
        assert isinstance(settlement, Retry)
    else:
        assert isinstance(settlement, Delay)
        assert (settlement.delay_ms, settlement.skip_attempt) == (wait, False)


def test_jitter_shortens_the_wait_within_its_share() -> None:
    job = record({**FIVE, "backoff": {"type": "fixed", "delay": 1_000, "jitter": 0.3}})
    waits = set()
    for _ in range(200):
        settlement = fail(job, ValueError())
        assert isinstance(settlement, Delay)
        waits.add(settlement.delay_ms)
    assert min(waits) >= 700
    assert max(waits) <= 1_000
    assert len(waits) > 50


def test_a_wait_is_bounded_by_what_a_score_can_hold() -> None:
    job = record({"attempts": 10**6, "backoff": {"type": "exponential", "delay": 1}}, atm="500000")
    settlement = fail(job, ValueError())
    assert isinstance(settlement, Delay)
    assert settlement.delay_ms * 4096 < 2**53


@pytest.mark.parametrize(
    "backoff",
    [
        {"type": "my-own", "delay": 5},
        {"delay": 5},
        {"type": ["fixed"]},
        {"type": "fixed", "delay": "soon"},
        {"type": "fixed", "delay": float("inf")},
        {"type": "fixed", "delay": float("nan")},
        {"type": "fixed", "delay": -5},
        {"type": "fixed", "delay": 5, "jitter": 2},
        {"type": "fixed", "delay": 5, "jitter": "x"},
        "exponential",
        ["fixed"],
        float("inf"),
    ],
)
def test_a_backoff_that_is_not_known_here_fails_the_job_and_says_so(backoff: Any) -> None:
    settlement = fail(record({**FIVE, "backoff": backoff}), ValueError("no"))
    assert isinstance(settlement, Finish)
    assert settlement.value == "no"
    assert "is not known here" in settlement.fields["stacktrace"]


@pytest.mark.parametrize(
    ("delay", "wait"), [(1.5, 1_500), (timedelta(minutes=1), 60_000), (1e300, 2**40)]
)
def test_retry_after_takes_the_place_of_the_backoff(delay: Any, wait: int) -> None:
    job = record({**FIVE, "backoff": {"type": "my-own"}})
    settlement = fail(job, RetryAfter(delay))
    assert isinstance(settlement, Delay)
    assert settlement.delay_ms == wait


def test_retry_after_no_time_retries_at_once() -> None:
    assert isinstance(fail(record({**FIVE, "backoff": 700}), RetryAfter(0)), Retry)


def test_retry_after_spends_an_attempt_and_the_last_one_fails_for_good() -> None:
    assert isinstance(fail(record(FIVE, atm="4"), RetryAfter(5, "busy")), Finish)


def test_a_failure_that_no_attempt_can_mend_is_for_good() -> None:
    settlement = fail(record({**FIVE, "backoff": 700}), ValueError("no"), retriable=False)
    assert isinstance(settlement, Finish)
    assert settlement.terms.attempts == 5


@pytest.mark.parametrize(
    ("option", "keep"),
    [
        (None, {"count": -1}),
        (False, {"count": -1}),
        (True, {"count": 0}),
        (0, {"count": 0}),
        (7, {"count": 7}),
        (-1, {"count": -1}),
        ({"count": 7}, {"count": 7}),
        ({"age": 60}, {"age": 60}),
        ({"age": 60, "count": 7, "limit": 3}, {"age": 60, "count": 7, "limit": 3}),
        ({"count": "all"}, {"count": -1}),
        ("yes", {"count": -1}),
        (float("inf"), {"count": -1}),
    ],
)
def test_retention_is_read_in_every_form_bullmq_has(option: Any, keep: Any) -> None:
    assert completed(record({"removeOnComplete": option}), "t", "1").terms.keep == keep
    assert fail_for_good({"removeOnFail": option}).terms.keep == keep


def test_what_a_failed_child_does_to_its_parent_is_passed_on() -> None:
    for short in NO_PARENT:
        assert fail_for_good({short: True}).terms.parent == {**NO_PARENT, short: True}


@pytest.mark.parametrize("options", ["{", "[]", '{"attempts":"x"}', '{"attempts":1e400}'])
def test_a_job_with_corrupt_options_can_be_failed(options: str) -> None:
    job = JobRecord("order-7", {"name": "mail", "opts": options})
    settlement = fail(job, ValueError("corrupt"))
    assert isinstance(settlement, Finish)
    assert (settlement.terms.attempts, settlement.terms.keep) == (1, {"count": -1})
    assert completed(job, "t", "1").terms.attempts == 1


def test_a_job_with_a_corrupt_count_of_attempts_can_be_failed() -> None:
    settlement = fail(record(FIVE, atm="x"), ValueError("corrupt"), retriable=False)
    assert isinstance(settlement, Finish)
    assert settlement.fields["atm"] == "0"

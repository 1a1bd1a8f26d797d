from __future__ import annotations

import json

import pytest

from bullq.protocol.record import CorruptRecord, JobRecord


def record(**fields: str) -> JobRecord:
    return JobRecord("order-7", {"name": "mail", **fields})


def test_a_record_is_read_as_bullmq_stores_it() -> None:
    job = record(
        data='{"a":1}',
        opts='{"attempts":3,"kl":10}',
        timestamp="1700000000000",
        delay="500",
        priority="2",
        atm="1",
        ats="2",
        stc="1",
        processedOn="1700000000100",
        finishedOn="1700000000200",
        pb="w1",
        failedReason="no",
        stacktrace='["one","two"]',
        progress='{"done":5}',
        returnvalue="null",
        defa="why",
        rjk="nightly",
    )
    assert (job.id, job.name, job.data, job.exists) == ("order-7", "mail", '{"a":1}', True)
    assert job.options == {"attempts": 3, "keepLogs": 10}
    assert (job.attempts, job.attempts_made, job.attempts_started) == (3, 1, 2)
    assert (job.timestamp, job.delay, job.priority) == (1_700_000_000_000, 500, 2)
    assert (job.processed_on, job.finished_on) == (1_700_000_000_100, 1_700_000_000_200)
    assert (job.stalled_count, job.processed_by, job.failed_reason) == (1, "w1", "no")
    assert job.stacktrace == ["one", "two"]
    assert (job.progress, job.return_value) == ({"done": 5}, "null")
    assert (job.deferred_failure, job.scheduler_id) == ("why", "nightly")


def test_what_is_not_there_has_a_value_that_says_so() -> None:
    job = record()
    assert (job.data, job.options, job.attempts) == ("{}", {}, 1)
    assert (job.attempts_made, job.timestamp, job.finished_on, job.delay) == (0, 0, 0, 0)
    assert (job.stacktrace, job.progress, job.return_value) == ([], 0, None)
    assert (job.processed_by, job.failed_reason) == (None, None)
    assert (job.deferred_failure, job.scheduler_id) == (None, None)
    job.check()


def test_the_answer_of_a_script_is_read_in_pairs() -> None:
    job = JobRecord.from_flat("a", ["name", "mail", "atm", "2"])
    assert (job.name, job.attempts_made) == ("mail", 2)


def test_a_field_without_a_value_is_no_answer_of_redis() -> None:
    with pytest.raises(ValueError, match="shorter"):
        JobRecord.from_flat("a", ["name", "mail", "atm"])


def test_an_id_without_a_job_is_told_apart() -> None:
    assert not JobRecord("ghost", {"processedOn": "17", "ats": "1"}).exists
    assert not JobRecord("ghost", {}).exists


def test_the_old_name_of_attempts_made_is_read_too() -> None:
    assert record(attemptsMade="2").attempts_made == 2


@pytest.mark.parametrize("text", ["12", "12.0", "1.2e1", " 12 "])
def test_numbers_are_read_as_lua_may_have_written_them(text: str) -> None:
    assert record(timestamp=text).timestamp == 12


@pytest.mark.parametrize("text", ["x", "nan", "inf", "1e400", "-", "[]", "9" * 5_000])
def test_a_broken_number_is_told_by_field_and_value(text: str) -> None:
    job = record(atm=text)
    with pytest.raises(CorruptRecord, match="the job's field 'atm' is no number but"):
        _ = job.attempts_made
    with pytest.raises(CorruptRecord):
        job.check()
    assert job.name == "mail", "the other fields stay readable"


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        ("{}", 1),
        ('{"attempts":0}', 1),
        ('{"attempts":-3}', 1),
        ('{"attempts":null}', 1),
        ('{"attempts":2.7}', 2),
        ('{"attempts":5}', 5),
    ],
)
def test_a_job_is_tried_at_least_once(options: str, attempts: int) -> None:
    assert record(opts=options).attempts == attempts


@pytest.mark.parametrize("value", ["[]", '"x"', "5", "null", "true"])
def test_options_that_are_no_object_are_corrupt(value: str) -> None:
    with pytest.raises(CorruptRecord, match="the job's options are no JSON object but"):
        _ = record(opts=value).options


@pytest.mark.parametrize("value", ["{", "x", "[" * 100_000, '{"a":}'])
def test_options_that_are_no_json_are_corrupt(value: str) -> None:
    with pytest.raises(CorruptRecord, match="the job's field 'opts' is no JSON"):
        record(opts=value).check()


@pytest.mark.parametrize("value", ['"3"', "true", "[3]", "{}", "1e400", "NaN", "-1e400"])
def test_attempts_that_are_no_number_are_corrupt(value: str) -> None:
    job = record(opts=f'{{"attempts":{value}}}')
    if value == "{}":  # cjson writes an empty list as {}: nothing is said
        assert job.attempts == 1
        return
    with pytest.raises(CorruptRecord, match="'attempts' is no number but"):
        job.check()


@pytest.mark.parametrize("value", ['{"a":1}', '"x"', "5"])
def test_a_stacktrace_that_is_no_list_is_empty(value: str) -> None:
    assert record(stacktrace=value).stacktrace == []


def test_stacktrace_entries_are_text_whatever_was_stored() -> None:
    assert record(stacktrace=json.dumps(["a", None, 5])).stacktrace == ["a", "None", "5"]


def test_broken_json_elsewhere_is_told_by_field() -> None:
    with pytest.raises(CorruptRecord, match="'progress' is no JSON"):
        _ = record(progress="{").progress

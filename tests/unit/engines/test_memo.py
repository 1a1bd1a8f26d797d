"""The memo: what is on record of steps, and how failures of the body are counted by it."""

from __future__ import annotations

import json

import pytest

from bullq.engines.engine import Step
from bullq.engines.lines import path_of
from bullq.engines.memo import BODY, Entry, Memo, error_text, result_text
from bullq.errors import StepFailed

STEP = Step("mail", "mail")


@pytest.mark.parametrize("result", ['"a"', "null", "0", '{"result":1}', '[{"a":"}"}]', '"}"'])
def test_a_result_is_read_as_it_was_written(result: str) -> None:
    entry = Entry.read(result_text(result))
    assert entry.is_finished
    assert json.loads(entry.outcome(STEP)) == json.loads(result)


def test_an_event_is_taken_with_its_number() -> None:
    entry = Entry.read(result_text('{"n":1}', event=3))
    assert (entry.event, entry.outcome(STEP)) == (3, '{"n": 1}')
    assert Memo({"step:w": result_text("1", event=3)}).taken_events == {3}


def test_a_failure_is_raised_as_it_was_written() -> None:
    failed = StepFailed("mail", "ValueError", "no", "Traceback ...")
    entry = Entry.read(error_text(failed, 2))
    assert entry.round == 2
    with pytest.raises(StepFailed) as raised:
        entry.outcome(STEP)
    assert vars(raised.value) == vars(failed)


@pytest.mark.parametrize(
    "entry",
    [Entry(failures=2), Entry(until=17), Entry(failures=1, until=17), Entry(child="a.b", round=1)],
)
def test_what_is_not_finished_is_read_as_it_was_written(entry: Entry) -> None:
    assert Entry.read(entry.text) == entry
    assert not entry.is_finished


def test_a_body_replays_until_it_has_come_to_all_that_is_on_record() -> None:
    memo = Memo({"step:a": result_text("1"), "step:b": result_text("2"), "name": "job"})
    assert memo.repeats("")
    memo.take("a")
    assert memo.repeats("")
    memo.take("b")
    assert not memo.repeats("")


def test_a_body_that_takes_another_way_replays_no_more() -> None:
    memo = Memo({"step:a": result_text("1"), "step:b": result_text("2")})
    memo.take("c")
    assert not memo.repeats("")


def test_failures_of_a_body_without_steps_are_the_jobs() -> None:
    assert Memo({}, attempts_made=2).body_failures == 2


def test_failures_of_a_body_count_from_the_last_step_that_finished() -> None:
    stored = {"step:a": result_text("1")}
    memo = Memo(stored, attempts_made=1)
    assert memo.body_failures == 0
    stored |= memo.fields(failed_body=True)
    assert json.loads(stored[BODY]) == {"failures": 1, "progress": 1}
    assert Memo(stored, attempts_made=2).body_failures == 1
    stored["step:b"] = Entry(failures=1).text  # a failed attempt is no progress
    assert Memo(stored, attempts_made=3).body_failures == 1
    stored["step:b"] = result_text("2")
    assert Memo(stored, attempts_made=3).body_failures == 0


def test_a_job_that_failed_for_good_forgets_failures_only() -> None:
    failed = error_text(StepFailed("b", "E", "no"), 0)
    memo = Memo({"step:a": result_text("1"), "step:b": failed, "step:c": Entry(failures=2).text})
    fields = memo.fields(failed_body=True, failed_for_good=True)
    assert "step:a" not in fields
    assert Entry.read(fields["step:b"]) == Entry(round=1)
    assert Entry.read(fields["step:c"]) == Entry(round=1)
    assert json.loads(fields[BODY])["failures"] == 0


def test_what_is_noted_is_written_once() -> None:
    memo = Memo({})
    memo.note("a", result_text("1"))
    assert memo.unwritten() == {"a": '{"result":1}'}
    assert memo.unwritten() == {}
    assert memo.is_used


def test_what_could_not_be_recorded_is_for_the_next_time() -> None:
    memo = Memo({})
    memo.note("a", "1")
    memo.note("b", "1")
    entries = memo.unwritten()
    memo.note("b", "2")
    memo.put_back(entries)
    assert memo.unwritten() == {"a": "1", "b": "2"}


def test_steps_that_the_body_does_not_come_to_are_known() -> None:
    memo = Memo({"step:a": result_text("1"), "step:b": result_text("2"), "other": "3"})
    memo.take("b")
    memo.take("c")
    assert memo.left_over == ["a"]


def test_each_branch_repeats_as_far_as_it_has_been() -> None:
    memo = Memo({"step:1.0/a": result_text("1"), "step:1.1/b": '{"until":17}'})
    lines = ["1.0/", "1.1/", "1.2/", "2.0/"]
    assert [memo.repeats(line) for line in lines] == [True, True, True, False]
    memo.take("1.0/a")  # it was finished: the earlier run went on to the branch's end
    assert [memo.repeats(line) for line in lines] == [True, True, True, False]
    memo.take("1.1/b")
    assert [memo.repeats(line) for line in lines] == [True, False, True, False]
    memo.take("1.2/1.0/new")
    assert [memo.repeats(line) for line in [*lines, ""]] == [True, False, False, False, False]


def test_a_body_that_failed_in_a_branch_does_not_repeat_it() -> None:
    memo = Memo({"step:1.0/a": result_text("1"), BODY: '{"failures":1,"progress":1}'})
    assert memo.repeats("1.0/")
    memo.take("1.0/a")
    assert not memo.repeats("1.0/")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", ""),
        ("1.0/a", "1.0/"),
        ("1.0/2.1/a", "1.0/2.1/"),
        ("/1.0/a", ""),
        ("1.0//2.1/a", "1.0/"),
    ],
)
def test_a_key_tells_its_line(key: str, path: str) -> None:
    assert path_of(key) == path

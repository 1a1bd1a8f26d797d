from __future__ import annotations

from typing import Any

import pytest

from bullq.errors import InvalidOptionError
from bullq.protocol.options import (
    MAX_PRIORITY,
    check_attempts,
    check_deduplication,
    check_job_id,
    check_priority,
    check_queue_name,
    decode_options,
)


def test_stored_options_get_their_long_names_back_and_unknown_ones_stay() -> None:
    stored = {"de": {"id": "x"}, "kl": 5, "fpof": True, "attempts": 3, "new": 1}
    assert decode_options(stored) == {
        "deduplication": {"id": "x"},
        "keepLogs": 5,
        "failParentOnFailure": True,
        "attempts": 3,
        "new": 1,
    }


@pytest.mark.parametrize(
    "job_id", ["a", "order-7", "007", "1.5", "1e3", "01JD2Z8Q6ZK3V9", "-", "5 ", "Grüße", "٣"]
)
def test_ids_that_no_counter_makes_are_taken(job_id: str) -> None:
    assert check_job_id(job_id) == job_id


@pytest.mark.parametrize("job_id", ["1", "12", "-5", "2097152", "9" * 30])
def test_a_whole_number_is_no_id_and_another_is_proposed(job_id: str) -> None:
    with pytest.raises(InvalidOptionError, match="no whole number") as caught:
        check_job_id(job_id)
    assert f"'order-{job_id}'" in str(caught.value)


@pytest.mark.parametrize("job_id", ["0", "0:", "0:x"])
def test_the_old_markers_are_no_ids(job_id: str) -> None:
    with pytest.raises(InvalidOptionError, match="is not '0' and does not begin with '0:'"):
        check_job_id(job_id)


@pytest.mark.parametrize("job_id", ["a:b", ":", "repeat:x:17"])
def test_a_colon_is_refused_and_another_id_is_proposed(job_id: str) -> None:
    with pytest.raises(InvalidOptionError, match="has no ':'") as caught:
        check_job_id(job_id)
    assert repr(job_id.replace(":", "-")) in str(caught.value)


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="not empty; leave it out"):
        check_job_id("")


@pytest.mark.parametrize("name", ["", "a:b", ":"])
def test_queue_names_that_are_no_part_of_a_key_are_refused(name: str) -> None:
    with pytest.raises(InvalidOptionError, match="A queue's name is not empty and has no ':'"):
        check_queue_name(name)


@pytest.mark.parametrize("name", ["default", "my queue", "Grüße", "0"])
def test_other_queue_names_are_taken(name: str) -> None:
    assert check_queue_name(name) == name


@pytest.mark.parametrize("priority", [0, 1, MAX_PRIORITY])
def test_priorities_within_bounds_are_taken(priority: int) -> None:
    assert check_priority(priority) == priority


@pytest.mark.parametrize("priority", [-1, MAX_PRIORITY + 1])
def test_priorities_out_of_bounds_are_refused(priority: int) -> None:
    with pytest.raises(InvalidOptionError, match=rf"from 1 .* to 2,097,152 .* not {priority}"):
        check_priority(priority)


@pytest.mark.parametrize("priority", [1.5, 1.0, True, "1", None])
def test_a_priority_is_a_whole_number(priority: Any) -> None:
    with pytest.raises(InvalidOptionError, match="A priority is a whole number"):
        check_priority(priority)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "3", None])
def test_attempts_are_counted_from_one(attempts: Any) -> None:
    with pytest.raises(InvalidOptionError, match=f"a whole number from 1, not {attempts!r}"):
        check_attempts(attempts)


def test_one_attempt_is_enough() -> None:
    assert check_attempts(1) == 1


@pytest.mark.parametrize("deduplication", [{}, {"id": ""}, {"ttl": 5}])
def test_deduplication_needs_an_id(deduplication: Any) -> None:
    with pytest.raises(InvalidOptionError, match="needs an id"):
        check_deduplication(deduplication)


def test_deduplication_with_an_id_is_taken() -> None:
    assert check_deduplication({"id": "x", "ttl": 5}) == {"id": "x", "ttl": 5}

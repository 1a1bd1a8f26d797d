from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest

from bullq.errors import InvalidOptionError
from bullq.jobs.retry import Backoff

# kind, delay (ms), jitter, attempts made, chance, and what Backoffs.calculate of Node's bullmq
# 6.7.0 gives with Math.random() answering that chance.
NODE = [
    ("fixed", 0, 0.5, 20, 0.999999, 0),
    ("fixed", 1000, 0, 2, 0, 1000),
    ("fixed", 1000, 0.3, 2, 0.999999, 999),
    ("fixed", 1000, 0.3, 20, 0.5, 850),
    ("fixed", 1000, 0.5, 3, 0.123456789, 561),
    ("fixed", 1000, 1, 1, 0, 0),
    ("fixed", 1234, 0.3, 3, 0, 863),
    ("fixed", 1234, 0.5, 3, 0.5, 925),
    ("fixed", 1234, 1, 1, 0.123456789, 152),
    ("fixed", 333, 0.3, 3, 0.123456789, 245),
    ("fixed", 333, 1, 7, 0.123456789, 41),
    ("exponential", 0, 0, 20, 0, 0),
    ("exponential", 1000, 0.3, 1, 0, 700),
    ("exponential", 1000, 0.3, 3, 0.999999, 3999),
    ("exponential", 1000, 0.5, 7, 0.123456789, 35950),
    ("exponential", 1000, 1, 7, 0.999999, 63999),
    ("exponential", 1234, 0.3, 7, 0, 55283),
    ("exponential", 1234, 0.5, 7, 0.5, 59232),
    ("exponential", 1234, 1, 20, 0, 0),
    ("exponential", 333, 0.5, 7, 0.999999, 21311),
    ("exponential", 333, 1, 20, 0.123456789, 21554062),
]


@pytest.mark.parametrize("row", NODE)
def test_waits_are_node_s_to_the_millisecond(
    row: tuple[Literal["fixed", "exponential"], int, float, int, float, int],
) -> None:
    kind, delay, jitter, made, chance, wait = row
    assert Backoff(kind, delay, jitter).wait_ms(made, lambda: chance) == wait


def test_a_fixed_backoff_waits_the_same_each_time() -> None:
    backoff = Backoff.fixed(2.5)
    assert [backoff.wait_ms(made) for made in (1, 2, 3, 50)] == [2_500] * 4


def test_an_exponential_backoff_doubles_from_attempt_to_attempt() -> None:
    backoff = Backoff.exponential(timedelta(seconds=1))
    assert [backoff.wait_ms(made) for made in (1, 2, 3, 4, 11)] == [
        1_000,
        2_000,
        4_000,
        8_000,
        1_024_000,
    ]


@pytest.mark.parametrize("jitter", [0.1, 0.5, 1.0])
def test_jitter_draws_its_share_of_the_wait_and_never_adds_to_it(jitter: float) -> None:
    backoff = Backoff("exponential", 1_000, jitter)
    waits = [backoff.wait_ms(3) for _ in range(500)]
    assert 4_000 * (1 - jitter) <= min(waits)
    assert max(waits) <= 4_000
    assert len(set(waits)) > 100


@pytest.mark.parametrize("made", [60, 1_000, 1_000_000])
def test_a_wait_stays_a_number_that_a_score_can_hold(made: int) -> None:
    assert Backoff("exponential", 1_000).wait_ms(made) <= 2**53


def test_without_a_delay_there_is_no_wait() -> None:
    assert Backoff("exponential", 0, 1.0).wait_ms(5) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "linear"}, "A backoff is 'fixed' or 'exponential', not 'linear'"),
        ({"jitter": 1.5}, "jitter is from 0 to 1, not 1.5"),
        ({"jitter": -0.1}, "jitter is from 0 to 1, not -0.1"),
        ({"jitter": float("nan")}, "jitter is from 0 to 1, not nan"),
        ({"delay_ms": -1}, "delay is 0 ms or more, not -1"),
    ],
)
def test_a_backoff_that_cannot_be_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        Backoff(**arguments)

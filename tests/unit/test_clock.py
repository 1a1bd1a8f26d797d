from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bullq.clock import Duration, format_ms, parse_duration, to_ms


@pytest.mark.parametrize(
    ("duration", "milliseconds"),
    [
        (0, 0),
        (1, 1_000),
        (0.0015, 2),
        (0.25, 250),
        (timedelta(minutes=5), 300_000),
        (timedelta(microseconds=400), 0),
        (timedelta(days=365), 31_536_000_000),
    ],
)
def test_seconds_and_timedeltas_become_whole_milliseconds(
    duration: Duration, milliseconds: int
) -> None:
    assert to_ms(duration) == milliseconds


@pytest.mark.parametrize(
    "duration", [-0.001, float("nan"), float("inf"), float("-inf"), timedelta(seconds=-1)]
)
def test_a_negative_or_endless_duration_is_refused(duration: Duration) -> None:
    with pytest.raises(ValueError, match="a duration is 0 seconds or more, not"):
        to_ms(duration)


@pytest.mark.parametrize("duration", ["5s", "5", None, [5]])
def test_what_is_no_length_of_time_is_refused(duration: Any) -> None:
    with pytest.raises(ValueError, match="a duration is a timedelta or a number of seconds, not"):
        to_ms(duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5", 5),
        ("2.5", 2.5),
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("1.5h", 5_400),
        ("1h30m", 5_400),
        ("7d", 604_800),
        ("1d2h3m4s5ms", 93_784.005),
        (" 5M ", 300),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", " ", "-5", "5x", "m", "1h 30m", "1e3", "inf", "nan", "5,5s"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write it like 500ms, 30s") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (12.4, "12 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (3_449, "3.4 s"),
        (60_000, "1.0 min"),
        (300_000, "5.0 min"),
        (7_200_000, "2.0 h"),
        (302_400_000, "3.5 d"),
    ],
)
def test_lengths_of_time_are_written_for_people(milliseconds: float, text: str) -> None:
    assert format_ms(milliseconds) == text


@pytest.mark.parametrize("milliseconds", [999.6, 59_980, 3_599_000, 172_799_000])
def test_rounding_never_shows_a_full_next_unit(milliseconds: float) -> None:
    assert format_ms(milliseconds) not in {"1000 ms", "60.0 s", "60.0 min", "48.0 h"}

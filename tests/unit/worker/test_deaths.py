from __future__ import annotations

from bullq.worker.deaths import RECYCLED, STARTS_IN_VAIN, Deaths, End

NO_REDIS = 3


def deaths(max_outage: float = 60.0) -> Deaths:
    return Deaths(NO_REDIS, max_outage)


def test_pauses_double_up_to_10_seconds_and_begin_anew_after_steady_work() -> None:
    counted = deaths()
    short = End(-9, 1.0, worked=True)
    assert [counted.pause_after(short) for _ in range(9)] == [
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        3.2,
        6.4,
        10.0,
        10.0,
    ]
    assert counted.pause_after(End(-9, 11.0, worked=True)) == 0.1


def test_a_recycled_child_is_replaced_at_once_and_forgives_earlier_deaths() -> None:
    counted = deaths()
    counted.pause_after(End(1, 1.0, worked=True))
    assert counted.pause_after(End(RECYCLED, 1.0, worked=True)) == 0.0
    assert counted.pause_after(End(1, 1.0, worked=True)) == 0.1


def test_starts_in_vain_are_given_up() -> None:
    counted = deaths()
    pauses = [counted.pause_after(End(1, 0.5, worked=False)) for _ in range(STARTS_IN_VAIN)]
    assert pauses.index(None) == STARTS_IN_VAIN - 1


def test_one_start_that_works_forgives_those_in_vain() -> None:
    counted = deaths()
    for _ in range(STARTS_IN_VAIN - 1):
        counted.pause_after(End(1, 0.5, worked=False))
    counted.pause_after(End(1, 0.5, worked=True))
    assert counted.pause_after(End(1, 0.5, worked=False)) is not None


def test_an_outage_at_the_start_is_put_up_with_for_as_long_as_allowed() -> None:
    counted = deaths(max_outage=60.0)
    spent, starts = 0.0, 0
    while (pause := counted.pause_after(End(NO_REDIS, 1.0, worked=False))) is not None:
        spent += 1.0 + pause
        starts += 1
    assert starts > STARTS_IN_VAIN
    assert 59 <= spent <= 72

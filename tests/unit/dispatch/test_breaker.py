from __future__ import annotations

from bullq.dispatch.breaker import Breaker, BreakerState


class World:
    """A clock and a chance that the test sets."""

    now = 100.0
    chance = 0.5

    def breaker(self, told: list[BreakerState] | None = None) -> Breaker:
        hear = None if told is None else told.append
        return Breaker(hear, clock=lambda: self.now, chance=lambda: self.chance)


def test_a_definite_no_opens_it_at_once() -> None:
    breaker = World().breaker()
    breaker.refused()
    assert breaker.state is BreakerState.OPEN
    assert not breaker.lets_pass()


def test_silence_opens_it_the_third_time_in_a_row() -> None:
    breaker = World().breaker()
    breaker.unanswered()
    breaker.unanswered()
    breaker.succeeded()
    breaker.unanswered()
    breaker.unanswered()
    assert breaker.lets_pass()
    breaker.unanswered()
    assert not breaker.lets_pass()


def test_one_canary_tries_after_the_pause_and_calls_come_back_by_and_by() -> None:
    world, told = World(), []
    breaker = world.breaker(told)
    breaker.refused()
    world.now += 0.51
    assert breaker.lets_pass()
    assert not breaker.lets_pass()
    breaker.succeeded()
    world.chance = 0.2
    assert not breaker.lets_pass()
    world.now += 1.5
    assert breaker.lets_pass()
    world.chance = 0.99
    assert not breaker.lets_pass()
    world.now += 1.5
    assert breaker.lets_pass()
    assert told == [
        BreakerState.OPEN,
        BreakerState.HALF_OPEN,
        BreakerState.RAMP,
        BreakerState.CLOSED,
    ]


def test_each_pause_is_twice_as_long_until_calls_are_back() -> None:
    world = World()
    breaker = world.breaker()
    pauses = []
    for _ in range(4):
        breaker.refused()
        began = world.now
        while not breaker.lets_pass():
            world.now += 0.01
        pauses.append(round(world.now - began, 1))
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_a_canary_of_which_nothing_is_heard_is_followed_by_another() -> None:
    world = World()
    breaker = world.breaker()
    breaker.refused()
    world.now += 0.51
    assert breaker.lets_pass()
    world.now += 5.0
    assert breaker.lets_pass()


def test_pauses_differ_by_chance() -> None:
    world = World()
    breaker = world.breaker()
    world.chance = 1.0
    breaker.refused()
    world.now += 0.6
    assert not breaker.lets_pass()
    world.now += 0.06
    assert breaker.lets_pass()


def test_what_was_under_way_does_not_open_it_longer() -> None:
    world = World()
    breaker = world.breaker()
    breaker.refused()
    world.now += 0.4
    breaker.refused()
    world.now += 0.11
    assert breaker.lets_pass()


def test_a_failure_after_it_has_closed_again_is_a_first_one() -> None:
    world = World()
    breaker = world.breaker()
    breaker.refused()
    world.now += 0.51
    assert breaker.lets_pass()
    breaker.succeeded()
    world.now += 3.0
    breaker.refused()
    world.now += 0.51
    assert breaker.lets_pass()

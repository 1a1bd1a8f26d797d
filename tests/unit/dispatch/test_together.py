from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bullq.dispatch.together import Together


async def test_what_is_asked_in_one_turn_goes_in_one_call() -> None:
    calls: list[list[int]] = []

    async def double(numbers: Sequence[int]) -> list[int]:
        calls.append(list(numbers))
        return [2 * number for number in numbers]

    together = Together(double, most=3, name="doubling")
    answers = await asyncio.gather(*(together.ask(number) for number in range(7)))
    assert answers == [0, 2, 4, 6, 8, 10, 12]
    assert await together.ask(50) == 100
    assert calls == [[0, 1, 2], [3, 4, 5], [6], [50]]


async def test_an_error_is_everybodys_and_who_has_gone_hears_nothing() -> None:
    async def fail(_: Sequence[int]) -> list[int]:
        raise ValueError("no")

    together = Together(fail, most=10, name="failing")
    gone, here = together.ask(1), together.ask(2)
    gone.cancel()
    with pytest.raises(ValueError, match="no"):
        await here
    assert gone.cancelled()


async def test_one_of_many_may_have_an_error_of_its_own() -> None:
    async def halve(numbers: Sequence[int]) -> list[int | Exception]:
        return [ValueError(f"{n} is odd") if n % 2 else n // 2 for n in numbers]

    together = Together(halve, most=10, name="halving")
    told = await asyncio.gather(*map(together.ask, range(3)), return_exceptions=True)
    assert told[::2] == [0, 1]
    assert isinstance(told[1], ValueError)


async def test_what_nobody_wants_any_more_is_not_sent() -> None:
    calls: list[list[int]] = []

    async def record(numbers: Sequence[int]) -> Sequence[int]:
        calls.append(list(numbers))
        return numbers

    together = Together(record, most=10, name="recording")
    gone, here = together.ask(1), together.ask(2)
    gone.cancel()
    assert await here == 2
    assert calls == [[2]]


async def test_where_the_call_is_cancelled_nobody_waits_for_ever() -> None:
    async def cancelled(_: Sequence[int]) -> list[int]:
        raise asyncio.CancelledError  # as by the end of a connection that all share

    answer = Together(cancelled, most=10, name="cancelled").ask(1)
    await asyncio.wait([answer], timeout=30)
    assert answer.cancelled()

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

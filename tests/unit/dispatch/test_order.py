from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from bullq import DispatchUnavailable
from bullq.dispatch.errand import Errand
from bullq.dispatch.order import InOrder


class Sent:
    """What InOrder asks of an errand."""

    def __init__(self, left: float = 30) -> None:
        self.left = left
        self.id = "one"
        self.place = "default/greet"
        self.order_key = "a"
        self.job = type("Job", (), {"queue": "default"})
        self.on_queue: Any = None


def errand(left: float = 30) -> Errand:
    return cast("Errand", Sent(left))


async def _turn(
    order: InOrder, one: Errand, told: list[str], name: str, end: asyncio.Event
) -> None:
    async with order.turn(one, "a") as is_free:
        assert is_free
        told.append(name)
        await end.wait()


async def test_turns_are_taken_in_the_order_of_their_coming() -> None:
    order, told, ends = InOrder(None), list[str](), [asyncio.Event() for _ in range(3)]
    turns = [
        asyncio.create_task(_turn(order, errand(), told, name, end))
        for name, end in zip("abc", ends, strict=True)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == ["a"]
    turns[1].cancel()  # who goes lets nobody overtake
    await asyncio.wait([turns[1]])
    assert told == ["a"]
    ends[0].set()
    ends[2].set()
    await asyncio.gather(turns[0], turns[2])
    assert told == ["a", "c"]
    assert not order._last


async def test_a_turn_ends_once_the_job_is_on_its_queue() -> None:
    order, told, end = InOrder(None), list[str](), asyncio.Event()
    first = errand()
    turn = asyncio.create_task(_turn(order, first, told, "first", end))
    await asyncio.sleep(0)
    first.on_queue()
    end_of_second = asyncio.Event()
    end_of_second.set()
    await _turn(order, errand(), told, "second", end_of_second)
    assert told == ["first", "second"]
    end.set()
    await turn


async def test_who_cannot_wait_any_longer_is_not_sent() -> None:
    order, told, end = InOrder(None), list[str](), asyncio.Event()
    turn = asyncio.create_task(_turn(order, errand(), told, "first", end))
    await asyncio.sleep(0)
    with pytest.raises(DispatchUnavailable, match="one that came before it"):
        await _turn(order, errand(left=0), told, "second", end)
    end.set()
    await turn
    assert told == ["first"]

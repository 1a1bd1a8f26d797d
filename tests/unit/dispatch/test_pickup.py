from __future__ import annotations

import asyncio

from bullq.dispatch.pickup import Pickups
from bullq.store.connection import Store


async def test_a_job_that_is_dispatched_twice_at_once_is_heard_of_by_both() -> None:
    pickups = Pickups(Store("redis://127.0.0.1:1"), "bull", "me")
    first, second = pickups.expect("mail", "1"), pickups.expect("mail", "1")
    other = pickups.expect("mail", "2")
    pickups.forget("mail", "2", other)
    both = asyncio.gather(first.within(30), second.within(30))
    await asyncio.sleep(0)
    pickups.hear("mail\x001\x002")
    assert all(await both)
    assert not other.begun
    for one in (first, second):
        pickups.forget("mail", "1", one)
    await pickups.aclose()


async def test_what_began_before_it_is_waited_for_is_not_missed() -> None:
    pickups = Pickups(Store("redis://127.0.0.1:1"), "bull", "me")
    expected = pickups.expect("mail", "1")
    assert not await expected.within(0.001)
    pickups.hear("mail\x001")
    assert await expected.within(0)
    await pickups.aclose()

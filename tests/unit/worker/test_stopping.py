from __future__ import annotations

import asyncio

from bullq.worker.worker import _cancel
from tests.support.deadline import DEADLINE


async def test_an_actor_that_loses_its_cancellation_is_cancelled_again() -> None:
    began = asyncio.Event()
    lost = 0

    async def actor() -> None:
        nonlocal lost
        while True:
            try:
                began.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1  # as asyncio.wait_for does before Python 3.12, in an unlucky moment

    task = asyncio.create_task(actor())
    await began.wait()
    async with asyncio.timeout(DEADLINE):
        await _cancel(task)
    assert task.cancelled()
    assert lost == 1


async def test_what_a_cancelled_actor_raises_stays_with_it() -> None:
    async def actor() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while cleaning up")

    task = asyncio.create_task(actor())
    await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE):
        await _cancel(task)
    assert isinstance(task.exception(), ValueError)

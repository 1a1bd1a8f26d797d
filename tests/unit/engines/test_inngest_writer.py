"""What a job on Inngest logs is written in order, and what cannot be written holds up nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bullq.engines.inngest.guard import wait_after
from bullq.engines.inngest.shared import Writer
from bullq.errors import StoreUnavailable

DEADLINE = 30.0


def row(
    written: list[str], text: str, error: Exception | None = None
) -> Callable[..., Awaitable[None]]:
    async def write() -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error
        written.append(text)

    return write


async def test_a_row_that_redis_refuses_is_dropped_alone(caplog: pytest.LogCaptureFixture) -> None:
    written: list[str] = []
    writer = Writer(asyncio.get_running_loop())
    writer.put(row(written, "one"))
    writer.put(row(written, "two", TypeError("WRONGTYPE")))
    writer.put(row(written, "three"))
    async with asyncio.timeout(DEADLINE):
        await writer.close(DEADLINE)
    assert written == ["one", "three"]
    assert "WRONGTYPE" in caplog.text


async def test_an_outage_drops_what_was_to_be_written() -> None:
    written: list[str] = []
    writer = Writer(asyncio.get_running_loop())
    writer.put(row(written, "one", StoreUnavailable("away")))
    writer.put(row(written, "two"))
    async with asyncio.timeout(DEADLINE):
        await writer.close(DEADLINE)
    assert written == []


async def test_what_comes_after_the_end_is_dropped() -> None:
    written: list[str] = []
    writer = Writer(asyncio.get_running_loop())
    await writer.close(DEADLINE)
    writer.put(row(written, "late"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert written == []


async def test_the_end_does_not_wait_for_a_row_that_hangs() -> None:
    writer = Writer(asyncio.get_running_loop())
    never = asyncio.Event()

    async def hang() -> None:
        await never.wait()

    writer.put(hang)
    async with asyncio.timeout(DEADLINE):
        await writer.close(0.01)


def test_an_outage_of_days_is_waited_out_in_the_steps_that_a_server_has() -> None:
    assert [wait_after(number) for number in range(7)] == [1, 2, 4, 8, 16, 32, 60]
    assert sum(map(wait_after, range(400))) > 3 * 24 * 3600

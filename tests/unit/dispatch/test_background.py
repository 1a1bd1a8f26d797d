from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from bullq.dispatch.background import BackgroundLoop


async def _nothing() -> None:
    """Close nothing."""


async def _fails() -> None:
    raise RuntimeError("a connection would not close")


@pytest.mark.parametrize("fails", [False, True])
def test_who_waits_while_the_loop_ends_is_told(*, fails: bool) -> None:
    background = BackgroundLoop()
    waiting, told = threading.Event(), list[BaseException]()

    async def wait_for_ever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def caller() -> None:
        try:
            background.run(wait_for_ever)
        except CancelledError as error:
            told.append(error)

    thread = threading.Thread(target=caller)
    thread.start()
    assert waiting.wait(30)
    if fails:
        with pytest.raises(RuntimeError, match="would not close"):
            background.close(_fails)
    else:
        background.close(_nothing)
    thread.join(30)
    assert not thread.is_alive()
    assert len(told) == 1
    assert background.run(_nothing) is None  # a new loop
    background.close(_nothing)

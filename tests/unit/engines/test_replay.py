"""A replay goes on where its memory fails it: nothing that was done is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from unittest.mock import create_autospec

import pytest

from bullq.engines.engine import Step
from bullq.engines.memo import Memo
from bullq.engines.memory import Memory
from bullq.engines.replay import Replay


@pytest.mark.parametrize("error", [RuntimeError("broken"), asyncio.CancelledError()])
async def test_a_step_whose_record_is_cut_short_is_recorded_with_the_next(
    error: BaseException,
) -> None:
    recorded: list[Mapping[str, str]] = []
    failures: list[BaseException] = [error]

    async def record(entries: Mapping[str, str]) -> None:
        if failures:
            raise failures.pop()
        recorded.append(entries)

    async def call(_: int) -> str:
        return "1"

    memory: Any = create_autospec(Memory, instance=True, lost=None, attempts=1, permanent=())
    memory.record = record
    replay = Replay(Memo({}), memory)
    with pytest.raises(type(error)):
        await replay.run(Step("a", "a"), call)
    await replay.run(Step("b", "b"), call)
    assert recorded == [{"a": '{"result":1}', "b": '{"result":1}'}]
    assert await replay.run(Step("a", "a"), call) == "1"

"""The bench of the inline engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from bullq import Job
from bullq.testing import Inline
from bullq.testing.conformance import Bench, Run, Session


class InlineSession(Session):
    def __init__(self, engine: Inline) -> None:
        self._engine = engine

    async def start(self, job: Job[Any, Any], payload: Any) -> Run:
        return await self._engine.start(job, payload)

    async def until_paused(self, run: Run) -> None:
        await self._engine.settle()
        assert self._engine.run(run.id).job_state in {"delayed", "waiting-children"}

    async def pass_time(self, duration: timedelta) -> None:
        await self._engine.advance(duration)

    async def kill(self, job_id: str) -> None:
        self._engine.kill(job_id)
        await asyncio.Event().wait()

    async def remove(self, run: Run) -> None:
        await self._engine.remove(run.id)

    async def logs(self, run: Run) -> list[str]:
        return self._engine.run(run.id).logs

    async def progress(self, run: Run) -> Any:
        return self._engine.run(run.id).progress


class InlineBench(Bench):
    engine = "inline"
    pause = timedelta(hours=1)
    tick = timedelta(milliseconds=1)

    @contextlib.asynccontextmanager
    async def session(self, *jobs: Job[Any, Any]) -> AsyncIterator[Session]:
        async with Inline() as engine:
            yield InlineSession(engine)

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from bullq import Bullq, Job, Observer, job
from tests.conftest import AppFactory
from tests.support.workers import running_worker


class Index(BaseModel):
    version: int


@pytest.fixture
def ran() -> list[int]:
    return []


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def index(ran: list[int], gate: asyncio.Event) -> Job[Index, None]:
    @job(queue="default", name="index")
    async def run(data: Index) -> None:
        ran.append(data.version)
        await gate.wait()

    return run


@pytest.fixture
def app(make_app: AppFactory, index: Job[Index, None]) -> Bullq:
    return make_app(index)


@pytest.mark.parametrize("mode", ["replace", "debounce"])
async def test_a_later_job_takes_the_place_of_a_delayed_one(
    app: Bullq, index: Job[Index, None], ran: list[int], gate: asyncio.Event, mode: str
) -> None:
    gate.set()
    for version in (1, 2, 3):
        await index.dispatch(
            Index(version=version),
            delay=0.2,
            deduplication_id="shop",
            deduplication_ttl=0.2,
            deduplication_mode=mode,  # type: ignore[arg-type]
        )
    async with running_worker(app, "default") as (_, recorder):
        await recorder.wait_for("job_completed")
    assert ran == [3]


async def test_the_last_job_that_came_while_one_was_active_runs_after_it(
    app: Bullq, index: Job[Index, None], ran: list[int], gate: asyncio.Event
) -> None:
    async with running_worker(app, "default") as (_, recorder):
        for version in (1, 2, 3):
            await index.dispatch(
                Index(version=version), deduplication_id="shop", deduplication_mode="last"
            )
            await recorder.wait_for("job_started")
        gate.set()
        await recorder.wait_for("job_completed", 2)
    assert ran == [1, 3]
    await app.worker("default", Observer()).run(burst=True)
    assert ran == [1, 3]

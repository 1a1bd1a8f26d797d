from __future__ import annotations

import pytest
from pydantic import BaseModel

from bullq import Bullq, Job, job
from bullq.queues.queue import JobQueue
from tests.conftest import AppFactory


class Work(BaseModel):
    fails: bool = False


@pytest.fixture
def work() -> Job[Work, None]:
    @job(queue="default", name="work", attempts=1)
    async def run(data: Work) -> None:
        if data.fails:
            raise RuntimeError("no")

    return run


@pytest.fixture
def app(make_app: AppFactory, work: Job[Work, None]) -> Bullq:
    return make_app(work)


@pytest.fixture
async def queue(app: Bullq) -> JobQueue:
    return app.queue("default")

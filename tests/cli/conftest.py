from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from bullq.dispatch.ids import new_job_id
from bullq.protocol.record import to_json
from bullq.queues.queue import JobQueue
from bullq.queues.spec import QueueSpec
from bullq.store.adding import JobKind, NewJob
from bullq.store.connection import Store
from tests.support.commands import Project
from tests.support.servers import RedisServer

SERVICES = {
    "jobs/default/hello_service.py": """
from pydantic import BaseModel
from bullq import Context, job


class Hello(BaseModel):
    name: str = "world"


@job
def hello(data: Hello, ctx: Context) -> str:
    ctx.log(f"greeting {data.name}")
    return f"Hello, {data.name}!"
""",
    "jobs/default/fail_service.py": """
from pydantic import BaseModel
from bullq import GiveUp, job


class Nothing(BaseModel):
    pass


@job
def fail(data: Nothing) -> None:
    raise GiveUp("the till is closed")
""",
    "jobs/default/hold_service.py": """
import asyncio, os, threading
from pydantic import BaseModel
from bullq import job


class Hold(BaseModel):
    how: str


def gate() -> None:
    door = os.open("gate", os.O_RDWR)
    print("held", flush=True)
    os.read(door, 1)
    print("let go", flush=True)


async def leave() -> None:
    raise SystemExit("a task's own end")


@job(name="hold-thread")
def hold_thread(data: Hold) -> str:
    gate()
    return "let go"


@job
async def hold(data: Hold) -> None:
    if data.how == "loop":
        gate()
    if data.how == "exit in a task":
        await asyncio.gather(leave())
    if data.how == "thread of its own":
        threading.Thread(target=gate).start()
        return
    print("held", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if data.how != "stubborn":
                raise
""",
    "jobs/data_sync/pull_orders_service.py": """
from pydantic import BaseModel
from bullq import job


class Page(BaseModel):
    number: int = 1


@job
async def pull_orders(data: Page) -> int:
    return data.number
""",
}


@pytest.fixture
def project(tmp_path: Path, valkey: RedisServer, prefix: str) -> Project:
    """Give a project with jobs on the shared server, under this test's prefix."""
    project = Project(tmp_path, {"REDIS_URL": valkey.url, "BULLQ_PREFIX": prefix})
    for path, text in SERVICES.items():
        project.write(path, text)
    os.mkfifo(tmp_path / "gate")
    return project


@pytest.fixture
def database(valkey: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        yield client


Send = Callable[..., str]


@pytest.fixture
def send(valkey: RedisServer, prefix: str) -> Send:
    """Queue a job of the project as another program would, and give its id."""

    def now(name: str, data: Any = None, *, queue: str = "default") -> str:
        async def add() -> str:
            store = Store(valkey.url)
            try:
                live = JobQueue(QueueSpec(name=queue), store, prefix)
                return await live.add(NewJob(JobKind(name, {}), new_job_id(), to_json(data or {})))
            finally:
                await store.aclose()

        return asyncio.run(add())

    return now


def key(project: Project, name: str) -> str:
    """Give a key of the project's queues, as 'default:wait'."""
    return f"{project.environment['BULLQ_PREFIX']}:{name}"


def open_gate(project: Project) -> None:
    """Let one job go that has said 'held'."""
    gate = os.open(project.folder / "gate", os.O_WRONLY | os.O_NONBLOCK)
    os.write(gate, b"!")
    os.close(gate)

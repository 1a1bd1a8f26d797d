from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.commands import Project
from tests.support.servers import RedisServer

APP = """
from bullq import Bullq, QueueSpec
from work import note, blocks, dies, spins, waits

app = Bullq(
    jobs=[note, blocks, dies, spins, waits],
    queues=[QueueSpec(name="short", lock_duration=1, stalled_interval=1, concurrency=2)],
)
"""

WORK = """
import asyncio, itertools, os, time
import redis.asyncio
from pydantic import BaseModel
from bullq import job

BASE = os.environ["BULLQ_PREFIX"]


class Number(BaseModel):
    n: int = 0
    seconds: float = 0.0


async def tell(data):
    async with redis.asyncio.from_url(os.environ["REDIS_URL"]) as client:
        await client.rpush(f"{BASE}:runs:{data.n}", os.getpid())
        await client.rpush(f"{BASE}:began", data.n)


@job(queue="default")
async def note(data: Number) -> int:
    await tell(data)
    await asyncio.sleep(data.seconds)
    return os.getpid()


@job(queue="short", attempts=1)
def blocks(data: Number) -> int:
    asyncio.run(tell(data))
    time.sleep(data.seconds)
    return data.n


@job(queue="default")
async def dies(data: Number) -> None:
    await tell(data)
    os._exit(3)


@job(queue="default")
async def spins(data: Number) -> None:
    await tell(data)
    sum(itertools.repeat(0))  # one call of C that never ends and lets no signal through


@job(queue="default", name="waits")
async def waits(data: Number) -> None:
    await tell(data)
    async with redis.asyncio.from_url(os.environ["REDIS_URL"], socket_timeout=None) as client:
        await client.blpop(f"{BASE}:go", 600)
"""


@pytest.fixture
def project(tmp_path: Path, valkey: RedisServer, prefix: str) -> Project:
    environment = {"REDIS_URL": valkey.url, "BULLQ_PREFIX": prefix, "BULLQ_APP": "shop:app"}
    project = Project(tmp_path, environment)
    project.write("shop.py", APP)
    project.write("work.py", WORK)
    return project


@pytest.fixture
def database(valkey: RedisServer) -> Iterator[redis.Redis]:
    # Its blocking reads have deadlines of their own.
    with redis.Redis.from_url(valkey.url, decode_responses=True, socket_timeout=None) as client:
        yield client

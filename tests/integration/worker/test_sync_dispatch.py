"""Code without an event loop dispatches, too: from threads, and after a server has forked."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import BaseModel

from bullq import ResultTimeout, StoreUnavailable, job
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer, free_port
from tests.support.workers import running_worker

ROOT = Path(__file__).parents[3]


class Number(BaseModel):
    n: int = 0


@job(queue="default", name="double")
async def double(data: Number) -> int:
    return 2 * data.n


async def test_many_threads_dispatch_at_once_and_hear_their_results(make_app: AppFactory) -> None:
    app = make_app(double)

    def send(n: int) -> int:
        return double.dispatch_sync(Number(n=n)).result_sync(timeout=DEADLINE)

    async with running_worker(app, "default"):
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(20) as pool:
            results = await asyncio.gather(
                *(loop.run_in_executor(pool, send, n) for n in range(100))
            )
    assert results == [2 * n for n in range(100)]
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("bullq dispatch_sync") <= 2  # this application's, and an earlier test's


async def test_dispatch_sync_would_block_a_running_loop_and_says_so(make_app: AppFactory) -> None:
    make_app(double)
    with pytest.raises(RuntimeError, match=r"would block .* await dispatch\(\)"):
        double.dispatch_sync(Number(n=1))
    receipt = await double.dispatch(Number(n=1))
    with pytest.raises(RuntimeError, match=r"await dispatch\(\) and result\(\) here"):
        receipt.result_sync()


async def test_errors_come_through_to_the_thread(make_app: AppFactory) -> None:
    make_app(double)
    receipt = await asyncio.to_thread(double.dispatch_sync, Number(n=1))
    with pytest.raises(ResultTimeout):
        await asyncio.to_thread(receipt.result_sync, 0.1)
    make_app(double, url=f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable, match="connection refused"):
        await asyncio.to_thread(double.dispatch_sync, Number(n=1))


PRE_FORK = """
import os, sys
from pydantic import BaseModel
from bullq import Bullq, job

class Number(BaseModel):
    n: int

@job(queue="default", name="double")
async def double(data: Number) -> int: ...

def send(n: int) -> None:
    receipt = double.dispatch_sync(Number(n=n))
    os.write(1, f"{receipt.id} ".encode())  # in one piece, unlike print

app = Bullq(jobs=[double])
send(0)
for n in (1, 2, 3):
    if os.fork() == 0:
        send(n)
        os._exit(0)
for _ in range(3):
    _, status = os.wait()
    assert status == 0, status
send(4)
"""


async def test_a_pre_fork_servers_children_dispatch_on_connections_of_their_own(
    make_app: AppFactory, valkey: RedisServer, prefix: str
) -> None:
    app = make_app(double)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRE_FORK],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": valkey.url, "BULLQ_PREFIX": prefix},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    sent = done.stdout.split()
    assert len(sent) == len(set(sent)) == 5
    live = app.queue("default")
    client = live.store.client()
    assert set(await client.lrange(live.keys.key("wait"), 0, -1)) == set(sent)
    found = [await client.hget(live.keys.job(one), "data") for one in sent]
    assert sorted(found) == [f'{{"n":{n}}}' for n in range(5)]

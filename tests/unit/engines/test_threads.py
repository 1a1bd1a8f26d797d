from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from bullq.engines.threads import ThreadPool
from tests.support.deadline import DEADLINE


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    pool = ThreadPool(2)
    yield pool
    pool.close()


async def ident(pool: ThreadPool) -> int:
    return int(await pool.call("job", threading.get_ident, ()))


async def test_a_thread_is_used_again(pool: ThreadPool) -> None:
    assert len({await ident(pool) for _ in range(100)}) == 1


async def test_a_call_that_hangs_keeps_no_other_from_running(pool: ThreadPool) -> None:
    door = threading.Event()
    hanging = [asyncio.create_task(pool.call("hangs", door.wait, ())) for _ in range(5)]
    await asyncio.sleep(0)
    for task in hanging:
        task.cancel()
    assert await asyncio.wait_for(ident(pool), DEADLINE) != threading.get_ident()
    door.set()


async def test_no_more_threads_wait_than_are_of_use() -> None:
    pool = ThreadPool(2)
    together = threading.Barrier(6)
    await asyncio.gather(*(pool.call("job", together.wait, (5,)) for _ in range(6)))
    pool.close()
    await asyncio.to_thread(_until_ended)


def _until_ended() -> None:
    for thread in threading.enumerate():
        if thread.name in {"bullq thread", "job"}:
            thread.join(5)
            assert not thread.is_alive()


async def test_a_thread_bears_the_name_of_its_job(pool: ThreadPool) -> None:
    named = await pool.call("bullq default/mail", lambda: threading.current_thread().name, ())
    assert named == "bullq default/mail"


@pytest.mark.parametrize("error", [StopIteration, GeneratorExit])
async def test_errors_that_futures_refuse_are_carried(
    pool: ThreadPool, error: type[BaseException]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(RuntimeError, match=f"the job raised {error.__name__}"):
        await pool.call("job", fail, ())

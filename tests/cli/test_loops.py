from __future__ import annotations

import asyncio

import pytest
from bullq_cli.loops import run_to_end


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_task_that_exits_ends_nothing_but_itself(error: BaseException) -> None:
    told: list[BaseException] = []
    caught: list[BaseException] = []

    async def leave() -> None:
        raise error

    async def work() -> None:
        for _ in range(2):
            try:
                await asyncio.gather(leave())
            except BaseException as one:  # noqa: BLE001 - as a worker sees what a job raises
                caught.append(one)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        run_to_end(loop, loop.create_task(work()), lambda _, one: told.append(one))
    assert told == caught == [error, error]


def test_what_the_main_task_raises_comes_out() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        main = loop.create_task(leave())
        with pytest.raises(SystemExit):
            run_to_end(loop, main, lambda *_: pytest.fail("it is the main task"))

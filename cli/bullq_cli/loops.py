"""Run an event loop on which jobs run, none of which may end it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def run_to_end(
    loop: asyncio.AbstractEventLoop,
    main: asyncio.Task[None],
    tell: Callable[[str, BaseException], None],
) -> None:
    """Run *loop* until *main* has ended, and raise what that raises.

    asyncio lets SystemExit and KeyboardInterrupt out of the loop when any task raises them,
    besides telling whoever waits for that task: a job that has begun such a task hears of it
    there, and *tell* hears of it here.
    """
    while True:
        try:
            return loop.run_until_complete(main)
        except (SystemExit, KeyboardInterrupt) as error:
            if main.done():
                raise
            tell("a task that a job has begun would have ended the worker", error)

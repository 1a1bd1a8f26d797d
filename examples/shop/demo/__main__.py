"""Run the demo from its start to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from bullq import Bullq
from bullq.errors import BullqError
from bullq.loading import load_app
from examples.shop.demo.plan import Plan
from examples.shop.demo.screen import Screen
from examples.shop.demo.tally import Tally
from examples.shop.demo.verdict import RECURRING_RUNS, judge
from examples.shop.demo.workers import Workers, WorkerTrouble, set_environment

QUEUES = ["default", "data-sync", "scheduled"]
JOBS_DEADLINE = 20.0
"""Seconds for all jobs, from the first dispatch to the last end; about 4 are needed."""
SERVER_DEADLINE = 10.0
"""Seconds for the embedded server to close its data."""

_REFRESH = 0.1  # seconds
_LOOK = 0.02  # seconds between looks at whether the server has gone


def main() -> int:
    """Run the demo in a folder of its own, and give the exit code."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bullq-demo-", ignore_cleanup_errors=True) as folder:
        home = Path.cwd()
        set_environment(Path(folder))
        try:
            with Screen(console, QUEUES) as screen:
                return asyncio.run(run(Path(folder), screen))
        finally:
            os.chdir(home)


async def run(project: Path, screen: Screen) -> int:
    """Run everything, stop everything, and give the exit code."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - tells the type checker that a task runs this
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    app = load_app()
    workers = Workers(QUEUES, project)
    try:
        return await perform(app, workers, screen, project)
    except (BullqError, WorkerTrouble, TimeoutError) as error:
        screen.log(workers.last_words())
        screen.fail("The demo could not be carried out:", [str(error) or "time was up"])
        return 1
    finally:
        await workers.stop()
        await leave(app)


async def perform(app: Bullq, workers: Workers, screen: Screen, project: Path) -> int:
    """Start, dispatch, watch, stop, judge."""
    screen.say("Starting an embedded server and a worker process for each of three queues")
    await workers.start(app)
    plan, tally = Plan(app), Tally(app, QUEUES)
    screen.say("Dispatching the jobs of a busy day")
    dispatching = asyncio.create_task(plan.dispatch())
    try:
        finished = await watch(plan, tally, screen, workers, dispatching)
    finally:
        dispatching.cancel()
        await asyncio.gather(dispatching, return_exceptions=True)
    stopped = await workers.stop()
    verdict = await judge(app, plan, QUEUES, project / "shop-data")
    if not finished:
        verdict.problems.insert(0, f"time was up after {JOBS_DEADLINE:g} s")
    verdict.problems.extend(stopped)
    if verdict.problems:
        screen.log(workers.last_words())
    screen.conclude(verdict)
    return 1 if verdict.problems else 0


async def watch(
    plan: Plan,
    tally: Tally,
    screen: Screen,
    workers: Workers,
    dispatching: asyncio.Task[None],
) -> bool:
    """Show what happens until all has happened; False where time was up before."""
    ends = time.monotonic() + JOBS_DEADLINE
    while time.monotonic() < ends:
        await tally.follow(_REFRESH)
        workers.check()
        totals = Counter(expected.queue for expected in plan.expected)
        screen.show(tally.queues, totals)
        if not dispatching.done():
            continue
        dispatching.result()
        runs = sum(queue.recurring for queue in tally.queues.values())
        missing = [one for one in plan.expected if one.id not in tally.queues[one.queue].ended]
        if not missing and runs >= RECURRING_RUNS:
            return True
    return False


async def leave(app: Bullq) -> None:
    """Leave the embedded server, and wait until it has closed its data and ended."""
    server = app.embedded
    await app.aclose()
    if server is None:
        return
    with contextlib.suppress(TimeoutError, ProcessLookupError):
        async with asyncio.timeout(SERVER_DEADLINE):
            while True:
                os.kill(server.info.pid, 0)
                await asyncio.sleep(_LOOK)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except asyncio.CancelledError:
        sys.exit(143)

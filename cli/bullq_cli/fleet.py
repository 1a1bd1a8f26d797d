"""Several workers on one event loop: started together, stopped together, never outliving it."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import typer

from bullq_cli.exits import CommandError, ExitCode, as_command_error
from bullq_cli.loops import run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from bullq.app import Bullq
    from bullq.telemetry.hooks import Observer
    from bullq.worker.worker import Worker
    from bullq_cli.metrics import Endpoint
    from bullq_cli.signals import StopSignals

_CLOSE_DEADLINE = 2.0  # seconds for connections
_LAST_MOMENT = 0.5  # seconds for tasks that workers have cancelled in vain already


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What the workers are to do. None means: as the queue says.

    *drain_timeout* and *max_outage* are in seconds, *max_memory* is in bytes. *max_jobs* and
    *max_memory* bound what one process does before it ends to be replaced; None sets no bound.
    """

    queues: list[str]
    concurrency: int | None = None
    drain_timeout: float | None = None
    name: str | None = None
    burst: bool = False
    max_outage: float = 300.0
    max_jobs: int | None = None
    max_memory: int | None = None
    token_prefix: str | None = None
    metrics: Endpoint | None = None


def run_fleet(app: Bullq, orders: Orders, observer: Observer, signals: StopSignals) -> None:
    """Run workers until a signal comes or, in a burst, until their queues are drained.

    Raises what the first worker that failed has raised, as an error for people, and typer.Exit
    where the process has done its share of jobs or memory and is to be replaced.
    """
    loop = _new_loop()
    try:
        asyncio.set_event_loop(loop)
        main = loop.create_task(_run(app, orders, observer, signals), name="bullq workers")
        run_to_end(loop, main, partial(observer.trouble, ", ".join(orders.queues)))
    finally:
        _abandon_tasks(loop)
        asyncio.set_event_loop(None)
        loop.close()


async def _run(app: Bullq, orders: Orders, observer: Observer, signals: StopSignals) -> None:
    loop = asyncio.get_running_loop()
    from bullq.telemetry.hooks import Observers
    from bullq.worker.deaths import RECYCLED
    from bullq.worker.recycling import Recycling

    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        for worker in workers.values():
            worker.stop()

    share = Recycling(stop, max_jobs=orders.max_jobs, max_memory=orders.max_memory)
    told = Observers([observer, share]) if share.is_bounded else observer
    workers = {queue: _worker(app, queue, orders, told) for queue in orders.queues}
    signals.attach(lambda: _schedule(loop, stop), longest_drain(app, orders))
    tasks = [
        asyncio.create_task(_work(queue, worker, orders, stopping), name=f"bullq worker {queue}")
        for queue, worker in workers.items()
    ]
    try:
        async with app.relaying(), app.watching(observer, orders.queues):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            stop()
            await asyncio.wait(tasks)
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(app.aclose(), _CLOSE_DEADLINE)
    # All are asked, or asyncio prints the errors of those that nobody has asked.
    for error in [task.exception() for task in tasks]:
        if error is not None:
            raise error
    if share.is_due and not signals.received:
        raise typer.Exit(RECYCLED)


def _worker(app: Bullq, queue: str, orders: Orders, observer: Observer) -> Worker:
    return app.worker(
        queue,
        observer,
        name=orders.name,
        concurrency=orders.concurrency,
        drain_timeout=orders.drain_timeout,
        max_outage=orders.max_outage,
        token_prefix=orders.token_prefix,
    )


async def _work(queue: str, worker: Worker, orders: Orders, stopping: asyncio.Event) -> None:
    """Run one worker; raise CommandError where it ends though nobody told it to."""
    try:
        await worker.run(burst=orders.burst)
    except Exception as error:
        known = as_command_error(error)
        if known is not None:
            raise known from None
        raise _ended(queue, error) from error
    if not orders.burst and not stopping.is_set():
        raise _ended(queue, None)


def _ended(queue: str, error: Exception | None) -> CommandError:
    cause = "for no reason that it told"
    if error is not None:
        place = traceback.extract_tb(error.__traceback__)[-1]
        cause = f"by {type(error).__name__}: {error} ({place.filename}:{place.lineno})"
    return CommandError(
        f"The worker of the queue {queue!r} has ended\n{' '.join(cause.split())}\n"
        "The other workers were stopped in order; start it again, and report this.",
        ExitCode.FAILED,
        "worker-ended",
    )


def longest_drain(app: Bullq, orders: Orders) -> float:
    """Tell how many seconds the slowest queue may take to drain."""
    from bullq.clock import to_ms

    if orders.drain_timeout is not None:
        return orders.drain_timeout
    return max(to_ms(app.queues.spec(queue).drain_timeout) for queue in orders.queues) / 1000


def _schedule(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has closed: the process is ending already
        loop.call_soon_threadsafe(call)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _abandon_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left and give it a moment; asyncio.run() would wait for it for ever."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_LAST_MOMENT))
        # What does not end even now is told as "returned"; asyncio would complain once more.
        loop.set_exception_handler(lambda *_: None)

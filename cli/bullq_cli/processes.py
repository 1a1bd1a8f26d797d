"""Several worker processes under one parent: the command each of them gets, and its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bullq_cli.exits import ExitCode
from bullq_cli.fleet import Orders, longest_drain
from bullq_cli.signals import LAST_RESORT

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.telemetry.hooks import Observer
    from bullq_cli.signals import StopSignals

_KILL_AFTER = 5.0  # seconds beyond those after which a child ends itself


@dataclass(frozen=True)
class Children:
    """How many worker processes there are to be, and the words that say how they log."""

    count: int
    words: list[str]

    def command(self, orders: Orders, number: int, token_prefix: str, beat: Path) -> list[str]:
        """Give the command line of the child that has the place *number*."""
        given = {
            "--concurrency": orders.concurrency,
            "--drain-timeout": orders.drain_timeout,
            "--max-jobs": orders.max_jobs,
            "--max-memory": None if orders.max_memory is None else f"{orders.max_memory}B",
            "--max-outage": orders.max_outage,
            "--name": None if orders.name is None else f"{orders.name}-{number}",
            "--token-prefix": token_prefix,
            "--metrics": None if orders.metrics is None else orders.metrics.of_process(number),
            "--heartbeat-file": beat,
        }
        return [
            # -P, because a file of the project must not stand in for one of our libraries.
            *(sys.executable, "-P", "-m", "bullq_cli", "worker"),
            *(word for queue in orders.queues for word in ("--queue", queue)),
            *(["--burst"] if orders.burst else []),
            *(word for name, one in given.items() if one is not None for word in (name, str(one))),
            *self.words,
            "--until-stdin-closes",
        ]


def run_processes(
    app: Bullq,
    orders: Orders,
    children: Children,
    observer: Observer,
    signals: StopSignals,
) -> int:
    """Run workers in processes until a signal comes or, in a burst, until the queues are drained.

    Gives the exit code.
    """
    return asyncio.run(_run(app, orders, children, observer, signals))


async def _run(
    app: Bullq,
    orders: Orders,
    children: Children,
    observer: Observer,
    signals: StopSignals,
) -> int:
    from bullq.clock import to_ms
    from bullq.worker.supervisor import Supervisor, Terms

    await app.store.check()
    drain = longest_drain(app, orders)
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(
        lambda *child: children.command(orders, *child),
        [app.queue(name) for name in orders.queues],
        observer,
        Terms(
            processes=children.count,
            burst=orders.burst,
            stop_deadline=drain + LAST_RESORT + _KILL_AFTER,
            max_outage=to_ms(orders.max_outage) / 1000,
            no_redis=ExitCode.NO_REDIS,
            heartbeat_file=app.settings.heartbeat_file,
        ),
    )

    def stop() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: all is over already
            loop.call_soon_threadsafe(supervisor.stop)

    signals.attach(stop, drain + 2 * _KILL_AFTER, at_once=supervisor.kill)
    try:
        return await supervisor.run()
    finally:
        await app.aclose()

"""Dispatchers in processes of their own, made to be killed: `python -m ... HISTORY`.

One process imports the product and forks for each dispatcher, as an import takes half a second.
A line on stdin is an order (see Order); the answers are {"began": pid} and {"ended": pid}.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import signal
import sys
from asyncio import events
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bullq.dispatch import relay
from tests.drills.history import History
from tests.drills.jobs import new_app, write_to
from tests.drills.sending import send_all
from tests.drills.variants import broken


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one dispatcher is to do. *jobs* are kinds and ids.

    At its step *kill_at* it is killed by SIGKILL, at *cancel_at* its caller is cancelled; a step
    is whatever its event loop does between two awaits of any task.
    """

    settings: dict[str, Any]
    jobs: list[tuple[str, str]]
    at_once: int = 1
    pace: float = 0.0
    """Seconds between two dispatches of those that go at once."""
    kill_at: int = 0
    cancel_at: int = 0
    variant: str | None = None
    lease: float = 1.0
    """Seconds for which one that is killed keeps others from its outbox; bullq's own is 6."""
    stays: bool = False
    """Whether it lives on when all is dispatched, until its end is asked for by SIGTERM."""
    steps: Path | None = None
    """Where to write how many steps it took."""


@dataclass
class _Steps:
    """Counts what the event loop does, and acts at a given step."""

    order: Order
    act: Callable[[], None]
    taken: int = 0
    run: Callable[[events.Handle], None] = field(default=events.Handle._run)

    def install(self) -> None:
        def counted(handle: events.Handle) -> None:
            self.taken += 1
            if self.taken == self.order.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.taken == self.order.cancel_at:
                self.act()
            self.run(handle)

        events.Handle._run = counted  # type: ignore[method-assign]


async def dispatch(order: Order, history: History) -> None:
    """Do as ordered."""
    app = new_app(order.settings)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    sending = asyncio.create_task(
        send_all(app, history, order.jobs, at_once=order.at_once, pace=order.pace)
    )
    steps = _Steps(order, sending.cancel)
    steps.install()
    await asyncio.wait([sending])
    if order.stays:
        await stopped.wait()
    await app.aclose()
    if order.steps is not None:
        order.steps.write_text(str(steps.taken))
    if not sending.cancelled():
        sending.result()


def _fork(order: Order, path: Path) -> tuple[int, int]:
    """Start a dispatcher; give its pid, and a file that is at its end once the process is."""
    alive, ours = os.pipe()
    pid = os.fork()
    if pid:
        os.close(ours)
        return pid, alive
    os.close(alive)
    status = 1
    try:
        with broken(order.variant), patch.object(relay, "_LEASE", order.lease):
            asyncio.run(dispatch(order, write_to(path)))
        status = 0
    except BaseException as error:  # noqa: BLE001 - a child never returns to its parent's loop
        sys.stderr.write(f"{error!r}\n")
    finally:
        os._exit(status)


def main(path: Path) -> None:
    """Fork as ordered, until stdin ends."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.buffer.raw, selectors.EVENT_READ)
    pids: dict[int, int] = {}
    rest = b""
    while True:
        for key, _ in selector.select():
            if key.fd in pids:
                selector.unregister(key.fd)
                os.close(key.fd)
                pid = pids.pop(key.fd)
                _tell(ended=pid, status=os.waitpid(pid, 0)[1])
                continue
            chunk = os.read(key.fd, 65_536)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                given = json.loads(line)
                steps = given.pop("steps", None)
                order = Order(**given, steps=Path(steps) if steps else None)
                pid, alive = _fork(order, path)
                pids[alive] = pid
                selector.register(alive, selectors.EVENT_READ)
                _tell(began=pid)


def _tell(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

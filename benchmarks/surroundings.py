"""What surrounds a measured dispatcher: its jobs, a worker, and stand-ins for other servers.

`python -m benchmarks.surroundings worker URL` and `... inngest` are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvloop
from pydantic import BaseModel

from benchmarks.systems import ROOT
from bullq import Bullq, Job, Keep, Observer, QueueSpec, job
from bullq.settings import Settings

QUEUE = "handed"
_END_DEADLINE = 5.0  # seconds


class Order(BaseModel):
    """What every job is told."""

    order_id: int
    email: str = "a@example.com"


async def _nothing(data: Order) -> None:
    """Do nothing."""


async def _hold(data: Order) -> None:  # noqa: ARG001 - as every job here
    """Keep a worker's slot."""
    await asyncio.Event().wait()


confirmed: Job[Order, None] = job(queue=QUEUE, name="confirmed")(_nothing)
promptly: Job[Order, None] = job(queue=QUEUE, name="promptly", pickup="started")(_nothing)
hold: Job[Order, None] = job(queue=QUEUE, name="hold")(_hold)
JOBS: list[Job[Any, Any]] = [confirmed, promptly, hold]


def application(redis_url: str, inngest_url: str | None, **settings: str) -> Bullq:
    """Make the application; without *inngest_url* it is one of workers alone."""
    known = {"REDIS_URL": redis_url, **settings}
    if inngest_url is not None:
        known |= {
            "INNGEST_BASE_URL": inngest_url,
            "INNGEST_DEV": "1",
            "BULLQ_FALLBACK_RATE": "5000",
        }
    return Bullq(
        jobs=JOBS,
        queues=[QueueSpec(name=QUEUE, keep_completed=Keep(count=0))],
        settings=Settings.model_validate(known),
        observer=Observer(),
    )


@contextlib.contextmanager
def running(*command: str) -> Iterator[str]:
    """Run a process of this module until the end of the block; gives the line that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.surroundings", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - tells the type checker of PIPE
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(_END_DEADLINE)


@contextlib.contextmanager
def nobody(*, listens: bool) -> Iterator[str]:
    """Give an address that refuses, or one that *listens* and never answers."""
    with socket.socket() as nobodys:
        nobodys.bind(("127.0.0.1", 0))
        if listens:
            nobodys.listen(10_000)
        yield f"127.0.0.1:{nobodys.getsockname()[1]}"


async def _work(url: str, concurrency: int) -> None:
    app = application(url, None)
    _say("ready")
    await app.worker(QUEUE, Observer(), concurrency=concurrency).run()


class _Inngest(asyncio.Protocol):
    """Acknowledges every event, and knows every job; it runs none."""

    def __init__(self) -> None:
        self._heard = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            head, _, rest = self._heard.partition(b"\r\n\r\n")
            length = _length(head)
            if len(rest) < length:
                return
            self._heard = rest[length:]
            self._answer(head, rest[:length])

    def _answer(self, head: bytes, body: bytes) -> None:
        told: Any = [{"slug": f"bullq-{one.queue}.{one.name}"} for one in JOBS]
        if head.startswith(b"POST"):
            told = {"ids": ["0"] * len(json.loads(body)), "status": 200}
        text = json.dumps(told).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(text), text)
        )


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Inngest, "127.0.0.1", 0)
    _say(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Be one of the processes."""
    part: Callable[[], Any] = _serve
    if sys.argv[1] == "worker":
        part = partial(_work, sys.argv[2], int(sys.argv[3]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(part())


if __name__ == "__main__":
    main()

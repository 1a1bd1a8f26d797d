"""One worker process of a measurement: takes orders on stdin, answers on a pipe of its own.

Orders and answers are lines of JSON. `drain` runs a worker until the queue is empty, `listen`
until `stop`; the process ends when its stdin closes, so that none outlives who started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections import Counter
from typing import Any

import uvloop

from bullq.settings import load_settings
from bullq.telemetry.hooks import JobEvent, Observer
from bullq_cli.bench.application import measured_app
from bullq_cli.bench.plan import BUCKETS_PER_SECOND, Kind, Load


class Tally(Observer):
    """Counts what a worker completes, and tells when jobs start while it listens."""

    def __init__(self, child: Child) -> None:
        self.completed: Counter[int] = Counter()
        self.failed = 0
        self.reason = ""
        self._child = child

    def worker_started(self, queue: str, worker: str, concurrency: int) -> None:  # noqa: ARG002
        """Tell who waits to send single jobs."""
        if self._child.listening:
            self._child.tell(listening=True)

    def job_started(self, job: JobEvent) -> None:
        """Tell when a single job has started."""
        if self._child.listening:
            self._child.tell(started=job.id, at=time.monotonic())

    def job_completed(self, job: JobEvent) -> None:  # noqa: ARG002 - all jobs are alike
        """Count a job."""
        self.completed[int(time.monotonic() * BUCKETS_PER_SECOND)] += 1

    def job_failed(self, job: JobEvent, reason: str) -> None:
        """Count a job that failed: it has taken its time, too."""
        self.job_completed(job)
        self.failed += 1
        self.reason = self.reason or reason


class Child:
    """Runs one worker after the other, as it is told."""

    def __init__(self, load: Load, prefix: str, answers: int) -> None:
        self.listening = False
        self._app, job = measured_app(load_settings(), load, prefix)
        self._queue = job.queue
        self._answers = answers

    def tell(self, **answer: Any) -> None:
        """Answer with one line."""
        os.write(self._answers, json.dumps(answer).encode() + b"\n")

    async def run(self) -> None:
        """Take orders until nobody can give any."""
        orders: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        reader = asyncio.create_task(_read(orders))
        self.tell(ready=True)
        while not reader.done():
            order = await orders.get()
            if order["do"] == "drain":
                await self._drain(order["concurrency"])
            else:
                await self._listen(order["concurrency"], orders)

    async def _drain(self, concurrency: int) -> None:
        tally = Tally(self)
        worker = self._app.worker(self._queue, tally, concurrency=concurrency, drain_timeout=0)
        await worker.run(burst=True)
        self.tell(
            completed=dict(tally.completed),
            failed=tally.failed,
            reason=tally.reason,
            memory=_memory(),
        )

    async def _listen(self, concurrency: int, orders: asyncio.Queue[dict[str, Any]]) -> None:
        self.listening = True
        worker = self._app.worker(
            self._queue, Tally(self), concurrency=concurrency, drain_timeout=1
        )
        running = asyncio.create_task(worker.run())
        stop = asyncio.create_task(orders.get())
        await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
        worker.stop()
        await running
        stop.cancel()
        self.listening = False
        self.tell(stopped=True)


async def _read(orders: asyncio.Queue[dict[str, Any]]) -> None:
    """Read orders for ever; end the process, whatever it does, once nobody can give any."""
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        orders.put_nowait(json.loads(line))
    os._exit(0)


def _memory() -> int:
    """Give the resident memory of this process, in bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a kernel's file
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Run as `python -m bullq_cli.bench.child LOAD PREFIX DESCRIPTOR`."""
    told = json.loads(sys.argv[1])
    load = Load(**{**told, "kind": Kind(told["kind"])})
    uvloop.run(Child(load, sys.argv[2], int(sys.argv[3])).run())


if __name__ == "__main__":
    main()

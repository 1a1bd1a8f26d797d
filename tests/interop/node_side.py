"""Node processes with real BullMQ clients, driven over stdin and stdout (node/driver.mjs)."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tests.support.deadline import DEADLINE

_DRIVER = Path(__file__).parent / "node" / "driver.mjs"


class NodeProcess:
    """One Node process with one version of BullMQ; a thread hands its answers out."""

    def __init__(self, package: str, port: int, folder: Path) -> None:
        self.package = package
        self._errors = (folder / f"{package}.stderr").open("w+b")
        self._process = subprocess.Popen(
            ["node", str(_DRIVER), package, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=_DRIVER.parent,
        )
        self._ids = itertools.count()
        self._asked: dict[int, Future[Any]] = {}
        self._ready: Future[Any] = Future()
        self._reader = threading.Thread(target=self._read, name=f"node {package}", daemon=True)
        self._reader.start()
        self._ready.result(DEADLINE)

    def ask(self, prefix: str, operation: str, arguments: dict[str, Any]) -> Future[Any]:
        """Send a request and give its answer to come."""
        request = {
            "id": next(self._ids),
            "prefix": prefix,
            "operation": operation,
            "arguments": arguments,
        }
        future: Future[Any] = Future()
        self._asked[request["id"]] = future
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return future

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self._process.kill()
        self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if "ready" in answer:
                self._ready.set_result(None)
                continue
            future = self._asked.pop(answer["id"])
            if not future.set_running_or_notify_cancel():
                continue  # nobody waits any more
            if "error" in answer:
                future.set_exception(NodeError(answer["error"]))
            else:
                future.set_result(answer["value"])
        for future in (self._ready, *self._asked.values()):
            if not future.done():
                future.set_exception(NodeError(f"the Node process has ended: {self._last_words()}"))

    def _last_words(self) -> str:
        if self._errors.closed:
            return "killed"
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-2000:]


class NodeError(Exception):
    """What a BullMQ client in Node threw: its class and its message."""


class NodeSide:
    """What one test does in Node, under the test's prefix."""

    def __init__(self, process: NodeProcess, prefix: str) -> None:
        self.process = process
        self.prefix = prefix

    async def ask(self, operation: str, *, deadline: float = DEADLINE, **arguments: Any) -> Any:
        future = self.process.ask(self.prefix, operation, arguments)
        async with asyncio.timeout(deadline):
            return await asyncio.wrap_future(future)

    async def queue(self, queue: str, method: str, *args: Any) -> Any:
        """Call a method of a Queue."""
        return await self.ask("queue", queue=queue, method=method, args=args)

    async def add(self, queue: str, data: Any, name: str = "play", **options: Any) -> str:
        """Add a job and give its id."""
        job = await self.queue(queue, "add", name, data, options)
        return str(job["id"])

    async def job(self, queue: str, id: str, method: str, *args: Any) -> Any:  # noqa: A002
        """Call a method of a Job."""
        return await self.ask("job", queue=queue, id=id, method=method, args=args)

    async def read(self, queue: str, id: str) -> Any:  # noqa: A002
        """Give a job as Node reads it, and its state; None where there is none."""
        return await self.ask("read", queue=queue, id=id)

    async def work(self, queue: str, *, holds: bool = False, **options: Any) -> None:
        """Start a worker that plays what each job's data says (node/player.mjs).

        One that *holds* begins jobs and never ends them.
        """
        await self.ask("work", queue=queue, holds=holds, options=options)

    async def flow(self, tree: dict[str, Any]) -> Any:
        """Add a flow of jobs and give the one at its root."""
        return await self.ask("flow", tree=tree)

    async def rest(self, queue: str) -> None:
        """Close the worker."""
        await self.ask("rest", queue=queue)

    async def events_until(
        self,
        queue: str,
        event: str,
        id: str | None = None,  # noqa: A002
        *,
        count: int = 1,
        deadline: float = DEADLINE,
    ) -> list[dict[str, Any]]:
        """Give the queue's events so far, as QueueEvents tells them, once *event* is among them."""
        events: list[dict[str, Any]] = await self.ask(
            "eventsUntil", queue=queue, event=event, id=id, count=count, deadline=deadline
        )
        return events

    async def ended(self, queue: str, id: str, how: str = "completed") -> Any:  # noqa: A002
        """Wait for a job to end and give it as Node reads it."""
        await self.events_until(queue, how, id)
        return await self.read(queue, id)

"""The parent of worker processes: starts them, replaces those that end, stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bullq.telemetry.hooks import Observer, Observers
from bullq.worker.child import Child, Command
from bullq.worker.deaths import RECYCLED, Deaths, End
from bullq.worker.orphans import reap_orphans
from bullq.worker.processes import how_it_ended
from bullq.worker.takeback import TakeBack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bullq.queues.queue import JobQueue

_BEAT = 0.5  # seconds between looks at the children's heartbeats
_NO_PROCESS_PAUSE = 5.0  # seconds until a child is started again where the system has refused
_LAST_TAKEBACK = 3.0  # seconds for what is under way when all children have ended


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a supervisor keeps its children.

    *burst*: a child that ends with 0 has drained its queues and is not replaced. *stop_deadline*
    is how many seconds a child may take to stop before it is killed, *max_outage* for how many
    children may fail to start by the exit code *no_redis*, which an outage explains.
    """

    processes: int
    burst: bool = False
    stop_deadline: float
    max_outage: float
    no_redis: int
    heartbeat_file: Path | None = None


class Supervisor:
    """Keeps as many workers running as its terms say, each in a process of its own.

    A child that dies is replaced, after a pause that doubles from death to death, and the jobs it
    held go back to their queues at once. None of this needs the child's help.
    """

    def __init__(
        self, command: Command, queues: Sequence[JobQueue], observer: Observer, terms: Terms
    ) -> None:
        self._command = command
        self._terms = terms
        self._observer = Observers([observer])
        self._queue_names = ", ".join(queue.spec.name for queue in queues)
        self._takeback = TakeBack(queues, self._observer)
        self._children: dict[int, Child] = {}  # by number
        self._beats = dict.fromkeys(range(1, terms.processes + 1), time.time())
        self._returning: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Run until all children have ended, and give the exit code: 0 if they did so in order."""
        with tempfile.TemporaryDirectory(prefix="bullq-") as folder:
            keepers = [
                asyncio.create_task(self._keep(number, Path(folder)), name=f"bullq child {number}")
                for number in self._beats
            ]
            heart = asyncio.create_task(self._beat(), name="bullq heartbeat")
            reaper = asyncio.create_task(reap_orphans(self._own_pids), name="bullq orphans")
            try:
                await asyncio.gather(*keepers)
                if self._returning:
                    await asyncio.wait(self._returning, timeout=_LAST_TAKEBACK)
            finally:
                self.kill()
                heart.cancel()
                for task in (*keepers, *self._returning, reaper):
                    task.cancel()
        return self._code

    def stop(self) -> None:
        """Ask the children to stop in order, and replace none any more."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for child in self._children.values():
            child.stop()
        asyncio.get_running_loop().call_later(self._terms.stop_deadline, self.kill)

    def kill(self) -> None:
        """End the children now."""
        for child in list(self._children.values()):
            child.kill()

    async def _keep(self, number: int, folder: Path) -> None:
        """Have a child in the place *number* until there is to be none."""
        deaths = Deaths(self._terms.no_redis, self._terms.max_outage)
        while not self._stopping.is_set():
            child = await self._start(number, folder)
            if child is None:
                await self._pause(_NO_PROCESS_PAUSE)
                continue
            end = await self._end_of(number, child)
            if self._is_last(end):
                self._tell(number, child, end, None)
                self._code = self._code or _exit_code(end)
                return
            pause = deaths.pause_after(end)
            self._tell(number, child, end, pause)
            if pause is None:
                self._code = self._code or _exit_code(end)
                self.stop()
                return
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Wait for so long, less where the supervisor is stopped meanwhile."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _start(self, number: int, folder: Path) -> Child | None:
        """Start a child; None where the system has no process or memory left for one."""
        try:
            child = await Child.start(number, self._command, folder)
        except OSError as error:
            message = f"worker process {number} cannot be started"
            self._observer.trouble(self._queue_names, message, error)
            return None
        self._children[number] = child
        self._observer.process_started(number, child.pid)
        if self._stopping.is_set():
            child.stop()
        return child

    async def _end_of(self, number: int, child: Child) -> End:
        """Wait for a child's end, and see to what it leaves."""
        code = await child.wait()
        del self._children[number]
        end = End(code, child.age, worked=child.beat_at is not None)
        self._note_beat(number, child)
        child.forget()
        if code:
            task = asyncio.create_task(self._takeback.run(child.token_prefix))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)
        return end

    def _is_last(self, end: End) -> bool:
        """Tell whether a child is not to be replaced."""
        return self._stopping.is_set() or (self._terms.burst and end.code == 0)

    def _tell(self, number: int, child: Child, end: End, pause: float | None) -> None:
        again_in = None if pause is None else round(pause * 1000)
        if end.code == RECYCLED:
            self._observer.process_ended(number, child.pid, "it has done its share", again_in)
        elif end.code == 0:
            self._observer.process_ended(number, child.pid, "stopped", again_in)
        else:
            self._observer.process_died(number, child.pid, how_it_ended(end.code), again_in)

    async def _beat(self) -> None:
        """Keep the heartbeat file as old as the last sign of life of the quietest child."""
        file = self._terms.heartbeat_file
        while file is not None:
            await asyncio.sleep(_BEAT)
            for number, child in self._children.items():
                self._note_beat(number, child)
            oldest = min(self._beats.values())
            with contextlib.suppress(OSError):  # a full or read-only disk must not end a worker
                file.touch()
                os.utime(file, (oldest, oldest))

    def _own_pids(self) -> list[int]:
        return [child.pid for child in self._children.values()]

    def _note_beat(self, number: int, child: Child) -> None:
        self._beats[number] = max(self._beats[number], child.beat_at or 0.0)


def _exit_code(end: End) -> int:
    """Give what a supervisor exits with because of a child that was not replaced."""
    if end.code == RECYCLED:
        return 0
    return end.code if end.code >= 0 else 128 - end.code

"""Start a worker process per queue as a user would, and stop them in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

from bullq import Bullq
from bullq.queues.inspect import worker_names

START_DEADLINE = 15.0
"""Seconds until every worker listens to its queue."""
STOP_DEADLINE = 10.0
"""Seconds until a worker that has nothing to do has ended."""
COMMAND = [str(Path(sys.executable).with_name("bullq")), "worker"]

_LOOK = 0.05  # seconds between looks at whether the workers listen
_LOG_LINES = 8


class WorkerTrouble(Exception):  # noqa: N818 - tells people what is the matter
    """A worker did not start, or ended by itself."""


class Workers:
    """The worker processes; each writes its log into *folder*."""

    def __init__(self, queues: list[str], folder: Path) -> None:
        self._queues = queues
        self._folder = folder
        self._processes: dict[str, Process] = {}

    async def start(self, app: Bullq) -> None:
        """Start them, and wait until all listen; raises WorkerTrouble."""
        for queue in self._queues:
            with self._log(queue).open("wb") as log:
                self._processes[queue] = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    "--queue",
                    queue,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the demo, which stops them in order
                )
        silent = list(self._queues)
        try:
            async with asyncio.timeout(START_DEADLINE):
                while silent := [one for one in silent if not await worker_names(app.queue(one))]:
                    self.check()
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            raise WorkerTrouble(
                f"No worker listens to {', '.join(silent)} after {START_DEADLINE:g} s"
            ) from None

    def check(self) -> None:
        """See that all still run; raises WorkerTrouble."""
        for queue, process in self._processes.items():
            if process.returncode is not None:
                raise WorkerTrouble(
                    f"The worker of {queue} has ended by itself, exit code {process.returncode}"
                )

    async def stop(self) -> list[str]:
        """Stop them as an operator would, and say what was wrong with that."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        problems: list[str] = []
        for queue, process in self._processes.items():
            try:
                async with asyncio.timeout(STOP_DEADLINE):
                    code = await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                problems.append(f"the worker of {queue} ran {STOP_DEADLINE:g} s after SIGTERM")
            else:
                if code:
                    problems.append(f"the worker of {queue} ended with exit code {code}, not 0")
        self._processes.clear()
        return problems

    def last_words(self) -> str:
        """Give the end of each worker's log."""
        parts: list[str] = []
        for queue in self._queues:
            with contextlib.suppress(FileNotFoundError):
                lines = self._log(queue).read_text(errors="replace").splitlines()
                said = [f"  {line}" for line in lines[-_LOG_LINES:]] or ["  (nothing)"]
                parts += [f"The end of the log of the worker of {queue}:", *said]
        return "\n".join(parts)

    def _log(self, queue: str) -> Path:
        return self._folder / f"worker-{queue}.log"


def set_environment(project: Path) -> None:
    """Make this process and its workers use the embedded server of *project*, and nothing else."""
    for name in list(os.environ):
        if name in {"REDIS_URL", "USE_BULLMQ"} or name.startswith("BULLQ_"):
            del os.environ[name]
    root = str(Path(__file__).parents[3])
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{root}{os.pathsep}{path}" if path else root
    os.environ["BULLQ_APP"] = "examples.shop.jobs"
    os.environ["SHOP_DATA"] = str(project / "shop-data")
    os.chdir(project)

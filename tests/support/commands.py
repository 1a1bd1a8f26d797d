"""The real `bullq` command in tests: projects on disk, processes, and their output line by line."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.deadline import DEADLINE

BULLQ = Path(sys.executable).with_name("bullq")


class Process:
    """A command that runs in the background; both its outputs are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._arrived: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arrived.put(line.rstrip("\n"))
        self._arrived.put(None)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str) -> str:
        """Give the next line that holds *text*."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                line = self._arrived.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {text!r} in time:\n{self.output}") from None
            if line is None:
                raise AssertionError(f"ended without a line with {text!r}:\n{self.output}")
            self.lines.append(line)
            if text in line:
                return line

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        assert self.process.stdout is not None
        # Closing would wait for the reader, and the reader for whoever has not ended.
        assert not self._reader.is_alive(), f"a child of it lives on, and writes:\n{self.output}"
        self.process.stdout.close()

    def wait(self) -> int:
        """Give the exit code, once all output is in *lines*."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        while not self._arrived.empty():
            if (line := self._arrived.get()) is not None:
                self.lines.append(line)
        return code


@dataclass
class Project:
    """A folder with jobs, and the environment its commands get."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def _environment(self, changes: dict[str, str]) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BULLQ_", "INNGEST_"))
            and name not in ("REDIS_URL", "USE_BULLMQ")
        }
        return {**inherited, "COLUMNS": "80", **self.environment, **changes}

    def run(
        self, *words: str, typed: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [BULLQ, *words],
            check=False,
            cwd=self.folder,
            env=self._environment(environment),
            input=typed,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )

    def answer(self, *words: str) -> Any:
        """Run a command that succeeds, and read its JSON."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def running(self, *words: str, **environment: str) -> Iterator[Process]:
        """Run a command in the background; it is killed if it has not ended by itself."""
        process = subprocess.Popen(
            [BULLQ, *words],
            cwd=self.folder,
            env=self._environment({"PYTHONUNBUFFERED": "1", **environment}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started = Process(process)
        try:
            yield started
        finally:
            process.kill()
            started.wait()
            started.close()

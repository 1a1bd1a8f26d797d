"""Have one system play one part in a process of its own, and read what it tells."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any

from benchmarks.systems import ROOT, System

PATIENCE = 60.0
"""Seconds that a part may take."""


class PartFailed(Exception):  # noqa: N818 - what happened, named as people say it
    """A system did not do what it was told; the message is the end of what it said."""


class Part:
    """A running process that plays a part."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._process = process
        self._said = said
        self._rest = b""

    def answer(self) -> dict[str, Any]:
        """Wait for the next line that the system tells; raise PartFailed where none comes."""
        end = time.monotonic() + PATIENCE
        assert self._process.stdout is not None  # noqa: S101 - tells the type checker of PIPE
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while True:
                *lines, self._rest = self._rest.split(b"\n")
                for position, line in enumerate(lines):
                    if line.startswith(b"RESULT "):
                        self._rest = b"\n".join([*lines[position + 1 :], self._rest])
                        told: dict[str, Any] = json.loads(line.removeprefix(b"RESULT "))
                        return told
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise PartFailed(f"it took longer than {PATIENCE:g} s")
                chunk = os.read(self._process.stdout.fileno(), 1 << 20)
                if not chunk:
                    raise PartFailed(self._last_words())
                self._rest += chunk

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


@contextlib.contextmanager
def playing(system: System, part: str, order: dict[str, Any]) -> Iterator[Part]:
    """Start a part; its process is ended when the context is left."""
    command = [*system.command(), part, json.dumps(order)]
    if system.node_package:
        command.append(system.node_package)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
        try:
            yield Part(process, said)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def play(system: System, part: str, order: dict[str, Any]) -> dict[str, Any]:
    """Have a part played to its end, and give what it tells."""
    with playing(system, part, order) as running:
        return running.answer()

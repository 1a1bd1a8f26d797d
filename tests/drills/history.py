"""The history of a drill: who did what with which job, in one file that all processes append to.

A line is one JSON object and one write, so that a process that is killed leaves no half line, and
Node workers write the same (worker.mjs).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ASKED = "asked"
"""A dispatch began; *policy* is what the job says of lost data."""
ACCEPTED = "accepted"
"""It gave a receipt, with *engine*, *state* and *reason*."""
RAISED = "raised"
"""It raised; *doubt* says whether the job may run."""
DECIDED = "decided"
"""Its dispatcher came to the end of it, whether its caller was still there or not."""
STARTED = "started"
"""An engine began the job's own code."""
FINISHED = "finished"
"""The job's own code came to its end."""
KILLED = "killed"
"""The process *victim* was killed."""
WIPED = "wiped"
"""Redis is about to lose all data."""
LEFT = "left"
"""The job is still on record at the end of the drill, *where* says at which place."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. *by* is the process that did it, *at* the seconds of its clock."""

    what: str
    job: str = ""
    engine: str = ""
    by: int = 0
    at: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)


class History:
    """One file; each process opens it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
        self._read = 0
        self._entries: list[Entry] = []

    def note(self, what: str, job: str = "", engine: str = "", **more: Any) -> None:
        """Append one line."""
        line = {
            "what": what,
            "job": job,
            "engine": engine,
            "by": os.getpid(),
            "at": time.time(),
            **more,
        }
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def entries(self) -> list[Entry]:
        """Give what all processes have written so far, in the order in which it was."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self._entries += [_entry(json.loads(line)) for line in whole.splitlines()]
        return list(self._entries)

    def close(self) -> None:
        os.close(self._file)


def jobs_that(entries: Iterable[Entry], what: str, **more: Any) -> set[str]:
    """Name the jobs of entries of one kind, of those alone that say *more*."""
    return {
        entry.job
        for entry in entries
        if entry.what == what and more.items() <= {"engine": entry.engine, **entry.more}.items()
    }


def _entry(line: dict[str, Any]) -> Entry:
    fixed = {name: line.pop(name) for name in ("what", "job", "engine", "by", "at")}
    return Entry(**fixed, more=line)

"""Examine this machine: whether it gives workers the connections that they need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bullq.store.connection import MAX_CONNECTIONS
from bullq.telemetry.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bullq.queues.spec import QueueSpec

_PROCESS = 32  # files of Python, its loop and its log
_PER_QUEUE = 3  # connections: to listen, to fetch, to renew locks


def examine_machine(specs: Iterable[QueueSpec]) -> list[Finding]:
    """Examine the machine for one worker process of all these queues."""
    most = open_files()
    if most is None:
        return []
    queues = list(specs)
    at_once = sum(spec.concurrency for spec in queues)
    needed = _PROCESS + MAX_CONNECTIONS + _PER_QUEUE * len(queues) + at_once
    message = f"{most:,} open files allowed, about {needed:,} needed by a worker of all queues"
    if most >= needed:
        return [Finding("machine", "open-files", Level.OK, message)]
    return [
        Finding(
            "machine",
            "open-files",
            Level.WARNING,
            f"{message} ({at_once:,} jobs at once, one connection each): some would be refused one",
            f"ulimit -n {needed * 2}, or LimitNOFILE= of its service; or lower the concurrency.",
        )
    ]


def open_files() -> int | None:
    """Tell how many files a process may open; None where there is no bound or nobody knows."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - POSIX only

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft

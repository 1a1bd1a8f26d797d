from __future__ import annotations

import asyncio
import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bullq.worker.orphans import reap_orphans
from tests.integration.processes.looking import until
from tests.support.deadline import DEADLINE

PR_SET_CHILD_SUBREAPER = 36
ORPHAN = "import subprocess, sys; print(subprocess.Popen(['sleep', '0.2']).pid)"


@pytest.fixture
def _as_pid_1() -> Iterator[None]:
    """Become the one who inherits orphans, as the first process of a container is."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()


@pytest.mark.usefixtures("_as_pid_1")
async def test_orphans_are_reaped_and_children_are_left_to_who_waits_for_them() -> None:
    orphan = int(await output_of(sys.executable, "-c", ORPHAN))
    state = Path(f"/proc/{orphan}/stat")
    await until(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z")
    ours = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    reaper = asyncio.create_task(reap_orphans(lambda: [ours.pid], pause=0.05))
    await until(lambda: not state.exists())
    assert await asyncio.wait_for(ours.wait(), DEADLINE) == 7
    reaper.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reaper

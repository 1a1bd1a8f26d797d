"""Jobs in processes under the real command, with its own event loop and its own end."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
import redis

from tests.integration.processes.looking import alive, pids_in, until, until_gone
from tests.integration.processes.test_supervisor import key, send
from tests.support.commands import Project

JOBS = """
import os, time
from pathlib import Path
from pydantic import BaseModel
from bullq import job


class Work(BaseModel):
    file: Path
    seconds: float = 0.0


@job(queue="default", executor="process", attempts=1)
def compute(data: Work) -> int:
    with data.file.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    end = time.monotonic() + data.seconds
    while time.monotonic() < end:
        pass
    return os.getpid()
"""

APP = "from bullq import Bullq\nfrom computing import compute\napp = Bullq(jobs=[compute])\n"


@pytest.fixture
def computing(project: Project) -> Project:
    project.write("computing.py", JOBS)
    project.write("shop.py", APP)
    return project


def test_a_process_job_runs_under_the_command(computing: Project, database: redis.Redis) -> None:
    notes = computing.folder / "pids"
    sent = send(computing, "compute", {"file": str(notes)})
    with computing.running("worker", "--queue", "default", "--burst") as worker:
        assert worker.wait() == 0, worker.output
    pid = pids_in(notes)[0]
    assert database.hget(key(computing, f"default:{sent}"), "returnvalue") == json.dumps(pid)
    assert pid != worker.process.pid
    assert not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_process_ends_with_its_worker(computing: Project, number: signal.Signals) -> None:
    notes = computing.folder / "pids"
    with computing.running("worker", "--queue", "default", "--drain-timeout", "0s") as worker:
        worker.wait_for("worker started")
        await _sent(computing, notes)
        await until(lambda: bool(pids_in(notes)))
        worker.signal(number)
        await until_gone(pids_in(notes)[0])
        assert worker.wait() == (0 if number == signal.SIGTERM else -number)


async def _sent(project: Project, notes: Path) -> None:
    await asyncio.to_thread(send, project, "compute", {"file": str(notes), "seconds": 600})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--processes", "0"), "--processes is a whole number from 1 to 1,000, not 0"),
        (("--max-jobs", "5"), "Add --processes 1, which watches over one"),
        (("--max-memory", "1GB"), "Add --processes 1, which watches over one"),
        (("--processes", "1", "--max-jobs", "0"), "--max-jobs is a whole number from 1, not 0"),
        (("--processes", "1", "--max-memory", "big"), "'big' is no size; write it like 512MB"),
        (("--processes", "1", "--max-memory", "0MB"), "'0MB' is no size; write it like 512MB"),
        (("--max-outage", "soon"), "--max-outage cannot be read"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    project: Project, words: tuple[str, ...], told: str
) -> None:
    done = project.run("worker", "--queue", "default", *words)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


def test_no_process_is_started_without_redis(project: Project) -> None:
    done = project.run(
        "worker", "--queue", "default", "--processes", "2", REDIS_URL="redis://127.0.0.1:1"
    )
    assert done.returncode == 3
    assert "No Redis at 127.0.0.1:1" in done.stderr
    assert "process started" not in done.stderr

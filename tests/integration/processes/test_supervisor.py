from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from bullq.dispatch.ids import new_job_id
from bullq.queues.queue import JobQueue
from bullq.queues.spec import QueueSpec
from bullq.store.adding import JobKind, NewJob
from bullq.store.connection import Store
from tests.integration.processes.looking import alive
from tests.support.commands import Process, Project
from tests.support.deadline import DEADLINE

TWO = ("worker", "--queue", "default", "--processes", "2", "--concurrency", "2")
PATIENT = ("--drain-timeout", "5m")
"""Such a worker ends before its jobs only where something makes it."""


def send(project: Project, name: str, data: Any, *, queue: str = "default") -> str:
    async def add() -> str:
        store = Store(project.environment["REDIS_URL"])
        try:
            live = JobQueue(QueueSpec(name=queue), store, project.environment["BULLQ_PREFIX"])
            return await live.add(NewJob(JobKind(name, {}), new_job_id(), json.dumps(data)))
        finally:
            await store.aclose()

    return asyncio.run(add())


def key(project: Project, name: str) -> str:
    return f"{project.environment['BULLQ_PREFIX']}:{name}"


def began(project: Project, database: redis.Redis) -> int:
    """Wait until a job has begun, and give its number."""
    told = database.blpop([key(project, "began")], DEADLINE)
    assert told is not None, "no job has begun in time"
    return int(told[1])


def children(worker: Process, count: int = 2) -> list[int]:
    """Give the process ids of the children, once they work."""
    lines = [worker.wait_for("worker started") for _ in range(count)]
    return [int(re.findall(r"worker=\S+-(\d+) ", line)[0]) for line in lines]


def until(condition: Any, deadline: float = DEADLINE) -> float:
    """Wait for *condition* and give the seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + deadline, "it has not come about in time"
        time.sleep(0.01)
    return time.monotonic() - start


def test_sigterm_stops_all_processes_in_order(project: Project, database: redis.Redis) -> None:
    sent = [send(project, "waits", {"n": n}) for n in range(4)]
    with project.running(*TWO, "--name", "shop") as worker:
        for _ in sent:
            began(project, database)
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker stopping")
        worker.wait_for("worker stopping")
        database.rpush(key(project, "go"), *sent)
        assert worker.wait() == 0, worker.output
    assert database.zcard(key(project, "default:completed")) == 4
    assert {database.hget(key(project, f"default:{one}"), "pb") for one in sent} == {
        "shop-1",
        "shop-2",
    }


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_all_processes_at_once(
    project: Project, database: redis.Redis, number: signal.Signals, code: int
) -> None:
    send(project, "waits", {})
    with project.running(*TWO, *PATIENT) as worker:
        pids = children(worker)
        began(project, database)
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker stopping")
        worker.signal(number)
        assert worker.wait() == code, worker.output
    until(lambda: not any(map(alive, pids)))


def test_a_second_signal_ends_a_process_that_hears_none(
    project: Project, database: redis.Redis
) -> None:
    """Nor that its parent has gone: the parent itself has to kill it."""
    send(project, "spins", {})
    with project.running("worker", "--queue", "default", "--processes", "1") as worker:
        [pid] = children(worker, 1)
        try:
            began(project, database)
            # Two of one kind would count as one where they come at once.
            worker.signal(signal.SIGTERM)
            worker.signal(signal.SIGINT)
            assert worker.wait() in {130, 143}, worker.output
            until(lambda: not alive(pid))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_killed_childs_job_runs_again_long_before_its_lock_ends(
    project: Project, database: redis.Redis
) -> None:
    late = {"LOCK_DURATION": "1h", "STALLED_INTERVAL": "1h"}
    with project.running(
        *TWO, **{f"BULLQ_QUEUES__DEFAULT__{name}": value for name, value in late.items()}
    ) as worker:
        pids = children(worker)
        sent = send(project, "waits", {"n": 7})
        began(project, database)
        holder = int(database.lrange(key(project, "runs:7"), 0, -1)[0])
        assert holder in pids
        os.kill(holder, signal.SIGKILL)
        began(project, database)
        worker.wait_for("was killed by signal 9 (SIGKILL)")
        database.rpush(key(project, "go"), "")
        worker.wait_for("completed default/waits")
        assert children(worker, 1) != [holder]  # another one took its place
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.output
    assert database.hget(key(project, f"default:{sent}"), "stc") == "1"
    assert len(database.lrange(key(project, "runs:7"), 0, -1)) == 2


def test_a_job_that_kills_its_process_too_often_fails_with_that_reason(
    project: Project, database: redis.Redis
) -> None:
    with project.running(*TWO) as worker:
        children(worker)
        sent = send(project, "dies", {"n": 1})
        worker.wait_for("failed default/dies")
        beside = send(project, "note", {"n": 2})
        worker.wait_for(f"completed default/note {beside}")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.output
    assert database.hget(key(project, f"default:{sent}"), "failedReason") == (
        "the worker process that ran the job died in the middle of it; "
        "stalls so far: 2, max_stalled_count allows 1"
    )
    assert len(database.lrange(key(project, "runs:1"), 0, -1)) == 2


@pytest.mark.slow
def test_children_that_never_start_are_given_up(project: Project) -> None:
    # Only the parent, which has no such option, can import the application.
    project.write(
        "shop.py",
        """
import os, sys
if "--token-prefix" in sys.argv:
    os._exit(9)
from bullq import Bullq
from work import note
app = Bullq(jobs=[note])
""",
    )
    with project.running("worker", "--queue", "default", "--processes", "1") as worker:
        assert worker.wait() == 9, worker.output
    assert worker.output.count("process started") == 5
    assert "process died number=1" in worker.lines[-1]


def test_max_jobs_replaces_a_process_at_once_and_loses_nothing(
    project: Project, database: redis.Redis
) -> None:
    words = ("worker", "--queue", "default", "--processes", "1", "--max-jobs", "5", "--burst")
    for n in range(12):
        send(project, "note", {"n": n})
    with project.running(*words, "--concurrency", "1") as worker:
        assert worker.wait() == 0, worker.output
    assert worker.output.count("again_in=0 ms: it has done its share") == 2
    assert database.zcard(key(project, "default:completed")) == 12
    assert all(database.llen(key(project, f"runs:{n}")) == 1 for n in range(12))


def test_max_memory_replaces_a_process(project: Project, database: redis.Redis) -> None:
    words = ("worker", "--queue", "default", "--processes", "1", "--max-memory", "1MB", "--burst")
    send(project, "note", {"n": 1})
    with project.running(*words) as worker:
        assert worker.wait() == 0, worker.output
    assert worker.output.count("it has done its share") == 1
    assert database.zcard(key(project, "default:completed")) == 1


def test_children_end_in_order_when_their_parent_is_killed(
    project: Project, database: redis.Redis
) -> None:
    with project.running(*TWO) as worker:
        pids = children(worker)
        worker.signal(signal.SIGKILL)
        until(lambda: not any(map(alive, pids)))
        worker.wait()
    assert worker.output.count("worker stopped") == 2


@pytest.mark.slow
def test_the_heartbeat_gets_old_when_one_child_makes_no_progress(project: Project) -> None:
    beat = project.folder / "beat"
    with project.running(*TWO, "--heartbeat-file", str(beat)) as worker:
        pids = children(worker)
        until(lambda: _age(beat) < 2)
        os.kill(pids[0], signal.SIGSTOP)
        # The other one goes on: it is asked for work, and tells that Redis has answered.
        until(lambda: send(project, "note", {}) and _age(beat) > 4)
        os.kill(pids[0], signal.SIGCONT)
        until(lambda: _age(beat) < 2)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.output


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime if file.exists() else float("inf")

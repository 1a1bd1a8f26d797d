from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest
import redis

from tests.cli.conftest import Send, key, open_gate
from tests.support.commands import Project
from tests.support.deadline import DEADLINE


def test_sigterm_lets_the_running_job_end_and_exits_with_0(
    project: Project, send: Send, database: redis.Redis
) -> None:
    sent = send("hold-thread", {"how": ""})
    with project.running("worker", "--queue", "default") as worker:
        worker.wait_for("held")
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker stopping queue=default running=1")
        open_gate(project)
        assert worker.wait() == 0, worker.output
    assert "completed default/hold-thread" in worker.output
    assert database.hget(key(project, f"default:{sent}"), "returnvalue") == '"let go"'


@pytest.mark.parametrize(
    ("name", "how"), [("hold", "await"), ("hold", "stubborn"), ("hold-thread", "thread")]
)
def test_a_job_longer_than_the_drain_timeout_goes_back_with_no_attempt_spent(
    project: Project, send: Send, database: redis.Redis, name: str, how: str
) -> None:
    sent = send(name, {"how": how})
    with project.running("worker", "--queue", "default", "--drain-timeout", "50ms") as worker:
        worker.wait_for("held")
        worker.signal(signal.SIGINT)
        assert worker.wait() == 0, worker.output
    assert f"returned default/{name} {sent}" in worker.output
    assert "Traceback" not in worker.output
    assert "destroyed" not in worker.output
    assert database.lrange(key(project, "default:wait"), 0, -1) == [sent]
    assert database.hget(key(project, f"default:{sent}"), "atm") is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_at_once(
    project: Project, send: Send, number: signal.Signals, code: int
) -> None:
    send("hold", {"how": "await"})
    with project.running("worker", "--queue", "default", "--json") as worker:
        worker.wait_for("held")
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker stopping")
        worker.signal(number)
        assert worker.wait() == code, worker.output
    assert json.loads(worker.lines[-1])["event"].startswith("ended at once by a second signal")


def test_a_second_signal_ends_a_worker_whose_event_loop_is_blocked(
    project: Project, send: Send
) -> None:
    send("hold", {"how": "loop"})
    with project.running("worker", "--queue", "default") as worker:
        worker.wait_for("held")
        end = time.monotonic() + DEADLINE
        while worker.process.poll() is None and time.monotonic() < end:
            worker.signal(signal.SIGTERM)
            try:  # two signals sent at once can arrive as one
                worker.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        assert worker.wait() == 143


def test_a_signal_during_the_import_of_jobs_ends_the_process(project: Project) -> None:
    project.write(
        "jobs/default/slow_service.py",
        """
import os
door = os.open("gate", os.O_RDWR)
print("importing", flush=True)
try:
    os.read(door, 1)
except BaseException:
    print("caught", flush=True)
""",
    )
    with project.running("worker", "--queue", "default") as worker:
        worker.wait_for("importing")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert "caught" not in worker.output


def test_a_thread_that_a_job_left_behind_keeps_no_worker(project: Project, send: Send) -> None:
    send("hold", {"how": "thread of its own"})
    with project.running("worker", "--queue", "default", "--burst") as worker:
        assert worker.wait() == 0
    assert "held" in worker.output
    assert "let go" not in worker.output


def test_a_task_of_a_job_that_exits_fails_this_job_alone(
    project: Project, send: Send, database: redis.Redis
) -> None:
    """asyncio lets SystemExit out of the event loop, whoever waits for the task."""
    leaving, greeting = send("hold", {"how": "exit in a task"}), send("hello")
    done = project.run("worker", "--queue", "default", "--burst")
    assert done.returncode == 0, done.stderr
    assert database.hget(key(project, f"default:{leaving}"), "failedReason") == "a task's own end"
    assert database.hget(key(project, f"default:{greeting}"), "returnvalue") == '"Hello, world!"'
    assert "would have ended the worker" in done.stderr


def test_a_burst_drains_every_named_queue(
    project: Project, send: Send, database: redis.Redis
) -> None:
    for name, queue in (("hello", "default"), ("hello", "default"), ("pull-orders", "data-sync")):
        send(name, queue=queue)
    beat = project.folder / "beat"
    words = ("--queue", "default", "--queue", "data-sync", "--heartbeat-file", str(beat))
    done = project.run("worker", *words, "--burst", "--concurrency", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert database.zcard(key(project, "default:completed")) == 2
    assert database.zcard(key(project, "data-sync:completed")) == 1
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {event["concurrency"] for event in events if "concurrency" in event} == {3}
    assert beat.exists()


def test_a_worker_that_ends_by_an_error_stops_the_others_in_order(
    project: Project, database: redis.Redis
) -> None:
    with project.running("worker", "--queue", "default", "--queue", "data-sync") as worker:
        worker.wait_for("worker started")
        worker.wait_for("worker started")
        database.hset(key(project, "default:broken"), "name", "hello")
        database.set(key(project, "default:active"), "no list")
        database.rpush(key(project, "default:wait"), "broken")
        database.zadd(key(project, "default:marker"), {"0": 0})
        assert worker.wait() == 1, worker.output
    assert "worker stopped queue=data-sync" in worker.output
    last = worker.output.splitlines()[-3:]
    assert last[0] == "error: The worker of the queue 'default' has ended"
    assert "WRONGTYPE" in last[1]
    assert "start it again" in last[2]


def test_a_log_line_says_which_redis_without_its_password(project: Project) -> None:
    url = project.environment["REDIS_URL"].replace("redis://", "redis://:s3cret@")
    # All queues on request, and JSON lines because the settings say so.
    done = project.run("worker", "--all", "--burst", REDIS_URL=url, BULLQ_LOG_FORMAT="json")
    assert "s3cret" not in done.stderr
    # The server asks for no password and refuses one.
    assert done.returncode == 3
    assert json.loads(done.stderr.splitlines()[0])["event"].startswith("Redis at redis://:***@")


def test_options_override_settings(project: Project, send: Send) -> None:
    send("pull-orders", queue="data-sync")
    text = ("--log-format", "text", "--log-level", "warning")
    done = project.run("worker", "--all", "--burst", *text, BULLQ_LOG_FORMAT="json")
    assert (done.returncode, done.stderr) == (0, "")
    [job] = project.answer("jobs", "ls", "data-sync")
    assert job["state"] == "completed"


def test_a_worker_stops_when_whoever_holds_its_standard_input_ends(project: Project) -> None:
    # The process has /dev/null for standard input, which reads as closed.
    with project.running("worker", "--queue", "default", "--until-stdin-closes") as worker:
        assert worker.wait() == 0


def test_the_worker_has_a_name_that_dashboards_show(
    project: Project, database: redis.Redis
) -> None:
    with project.running("worker", "--queue", "default", "--name", "box-7") as worker:
        worker.wait_for("worker started")
        names: set[str] = set()
        end = time.monotonic() + DEADLINE
        while not any(name.endswith(":w:box-7") for name in names):  # named a moment later
            assert time.monotonic() < end, names
            names = {client["name"] for client in database.client_list()}

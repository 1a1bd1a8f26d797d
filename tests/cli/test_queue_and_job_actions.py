"""What people do to queues and jobs at the command line."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from bullq_cli.exits import ExitCode

from tests.cli.conftest import Send, key
from tests.support.commands import Project


def states(project: Project, queue: str = "default") -> dict[str, int]:
    [found] = [row for row in project.answer("queues", "ls") if row["name"] == queue]
    names = ("waiting", "active", "delayed", "failed", "completed")
    return {name: found[name] for name in names if found[name]}


def test_a_queue_is_paused_and_resumed(project: Project) -> None:
    done = project.run("queues", "pause", "default")
    assert (done.returncode, done.stdout) == (0, "paused default; running jobs go on\n")
    [default, *_] = project.answer("queues", "ls")
    assert default["paused"]
    assert project.answer("queues", "resume", "default") == {"queue": "default", "paused": False}


def test_a_queue_shared_with_an_old_client_is_resumed_by_force_alone(
    project: Project, database: redis.Redis
) -> None:
    database.lpush(key(project, "default:paused"), "job-1")
    refused = project.run("queues", "resume", "default")
    assert refused.returncode == ExitCode.FAILED
    assert "shared with a client of BullMQ 5 (1 jobs in its list 'paused')" in refused.stderr
    assert project.run("queues", "resume", "default", "--force").returncode == 0
    assert database.lrange(key(project, "default:wait"), 0, -1) == ["job-1"]


def test_failed_jobs_are_retried_all_or_one_by_its_id(project: Project, send: Send) -> None:
    ids = [send("fail") for _ in range(2)]
    project.run("worker", "--queue", "default", "--burst")
    assert project.answer("jobs", "retry", ids[0], "--reset-attempts") == {
        "queue": "default",
        "id": ids[0],
        "done": "waits again",
    }
    assert states(project) == {"waiting": 1, "failed": 1}
    done = project.run("queues", "retry", "default")
    assert done.stdout == "1 jobs of default wait again\n"
    assert states(project) == {"waiting": 2}
    again = project.run("jobs", "retry", f"default/{ids[0]}")
    assert again.returncode == ExitCode.FAILED
    assert "cannot be retried: it is not failed" in again.stderr


def test_delayed_jobs_are_promoted_all_or_one(project: Project) -> None:
    ids = [project.answer("dispatch", "hello", "--delay", "1h")["id"] for _ in range(3)]
    assert project.answer("jobs", "promote", ids[0])["done"] == "waits now"
    assert project.answer("queues", "promote", "default") == {"queue": "default", "promoted": 2}
    assert states(project) == {"waiting": 3}


def test_jobs_are_removed_drained_and_cleaned(project: Project, send: Send) -> None:
    removed, _, _ = (send("hello") for _ in range(3))
    project.run("dispatch", "hello", "--delay", "1h")
    assert project.run("jobs", "remove", removed).stdout == f"default/{removed} removed\n"
    assert project.answer("queues", "drain", "default")["removed"] == 2
    assert project.answer("queues", "drain", "default", "--delayed")["removed"] == 1
    send("hello")
    project.run("worker", "--queue", "default", "--burst")
    old = project.answer("queues", "clean", "default", "--older-than", "1h")
    assert old == {"queue": "default", "state": "completed", "removed": 0}
    done = project.run("queues", "clean", "default", "--limit", "5")
    assert done.stdout == "cleaned default: 1 completed jobs removed\n"


def test_a_job_that_no_list_knows_of_is_rescued(
    project: Project, send: Send, database: redis.Redis
) -> None:
    lost = send("hello")
    database.delete(key(project, "default:wait"))
    assert project.answer("queues", "rescue", "default") == {"queue": "default", "rescued": [lost]}
    assert states(project) == {"waiting": 1}


def test_a_queue_is_obliterated_by_those_who_mean_it(
    project: Project, send: Send, database: redis.Redis
) -> None:
    send("hello")
    asked = project.run("queues", "obliterate", "default")
    assert asked.returncode == ExitCode.WRONG_INPUT
    assert "bullq queues obliterate default --yes" in asked.stderr
    assert states(project) == {"waiting": 1}
    assert project.run("queues", "obliterate", "default", "--yes").stdout == "obliterated default\n"
    assert database.keys(key(project, "default:*")) == []


def test_events_are_printed_until_nothing_happens(project: Project, send: Send) -> None:
    job_id = send("hello")
    done = project.run("queues", "events", "default", "--since", "0", "--quiet-for", "100ms")
    assert [line.split()[1:3] for line in done.stdout.splitlines()] == [
        ["added", job_id],
        ["waiting", job_id],
    ]


@pytest.mark.parametrize("action", ["retry", "promote", "remove"])
def test_a_job_that_is_not_there_is_told(project: Project, action: str) -> None:
    done = project.run("jobs", action, "nowhere")
    assert done.returncode == ExitCode.NOT_FOUND
    assert done.stderr.startswith("error: No job has the id 'nowhere' on default,")


def test_an_id_that_several_queues_have_is_asked_about(project: Project, database: Any) -> None:
    for queue in ("default", "data-sync"):
        database.hset(key(project, f"{queue}:twin"), mapping={"name": "hello", "data": "{}"})
    done = project.run("jobs", "remove", "twin")
    assert done.returncode == ExitCode.WRONG_INPUT
    assert "say which: default/twin, data-sync/twin" in done.stderr

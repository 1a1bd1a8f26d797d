from __future__ import annotations

import json

import redis

from tests.cli.conftest import Send, key
from tests.support.commands import Project


def test_a_job_is_sent_and_its_result_waited_for(project: Project) -> None:
    with project.running("worker", "--queue", "default", "--queue", "data-sync") as worker:
        worker.wait_for("worker started")

        done = project.run("dispatch", "hello", '{"name": "Ada"}', "--wait", "50s")
        assert (done.returncode, done.stdout) == (0, '"Hello, Ada!"\n'), done.stderr
        assert done.stderr.startswith("queued default/hello ")

        answer = project.answer("dispatch", "data-sync/pull-orders", "--wait", "50s")
        assert answer["state"] == "completed"
        assert answer["result"] == 1

        done = project.run("dispatch", "fail", "--wait", "50s", "--json")
        assert (done.returncode, done.stdout) == (1, "")
        error = json.loads(done.stderr)["error"]
        assert error["code"] == "job-failed"
        assert "the till is closed" in error["message"]
        assert project.answer("jobs", "show", error["id"])["state"] == "failed"


def test_time_is_up(project: Project) -> None:
    with project.running("worker", "--queue", "default") as worker:
        worker.wait_for("worker started")
        done = project.run("dispatch", "hello", "--delay", "5m", "--wait", "10ms")
    assert done.returncode == 5
    assert "did not end within 0.01 s" in done.stderr
    assert "'bullq jobs show " in done.stderr


def test_time_is_up_where_nobody_works(project: Project) -> None:
    done = project.run("dispatch", "hello", "--wait", "10ms")
    assert done.returncode == 5
    assert "no worker listens to the queue 'default'" in done.stderr
    assert "'bullq worker --queue default'" in done.stderr


def test_the_payload_comes_from_a_file_or_standard_input(project: Project) -> None:
    project.write("ada.json", '{"name": "Ada"}')
    project.answer("dispatch", "hello", "@ada.json", "--id", "from-file")
    done = project.run("dispatch", "hello", "-", "--id", "typed", typed='{"name": "Bob"}')
    assert done.stdout == "queued default/hello typed\n"
    found = {job["id"]: job["data"] for job in project.answer("jobs", "ls", "default")}
    assert found == {"from-file": {"name": "Ada"}, "typed": {"name": "Bob"}}


def test_options_reach_the_queue(project: Project) -> None:
    project.answer("dispatch", "hello", "--delay", "1h30m", "--id", "late")
    project.answer("dispatch", "default/hello", "--priority", "7", "--id", "first")
    jobs = {job["id"]: job for job in project.answer("jobs", "ls", "default")}
    assert (jobs["late"]["state"], jobs["late"]["delay_ms"]) == ("delayed", 5_400_000)
    assert (jobs["first"]["state"], jobs["first"]["priority"]) == ("prioritized", 7)
    assert jobs["first"]["data"] == {"name": "world"}


def test_queues_and_jobs_are_listed(project: Project, send: Send) -> None:
    first, second = send("hello", {"name": "Ada"}), send("fail")
    project.run("worker", "--queue", "default", "--burst")
    send("pull-orders", queue="data-sync")

    rows = {row["name"]: row for row in project.answer("queues", "ls")}
    assert list(rows) == ["default", "data-sync", "scheduled"]
    assert (rows["default"]["completed"], rows["default"]["failed"]) == (1, 1)
    assert (rows["data-sync"]["waiting"], rows["data-sync"]["concurrency"]) == (1, 2)
    assert rows["default"]["paused"] is False
    table = project.run("queues", "ls").stdout.splitlines()
    assert table[0].split() == [
        *("queue", "waiting", "active", "delayed", "priority", "failed", "completed"),
        *("paused", "workers", "slots"),
    ]
    assert table[2].split() == ["data-sync", "1", "0", "0", "0", "0", "0", "no", "0", "2"]

    states = ("--state", "failed", "--state", "completed")
    jobs = project.answer("jobs", "ls", "default", *states)
    assert [(job["id"], job["state"]) for job in jobs] == [(second, "failed"), (first, "completed")]
    lines = project.run("jobs", "ls", "default", "--state", "failed").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"{second}  fail  failed  1/1 ")
    assert lines[1].endswith("the till is closed")
    empty = project.run("jobs", "ls", "scheduled")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "no jobs on scheduled\n")


def test_a_broken_job_can_be_looked_at(project: Project, send: Send, database: redis.Redis) -> None:
    job_id = send("hello")
    broken = {"opts": "{", "timestamp": "soon", "data": "{", "stacktrace": "{"}
    database.hset(key(project, f"default:{job_id}"), mapping=broken)
    [job] = project.answer("jobs", "ls", "default")
    assert (job["state"], job["data"], job["added_ms"]) == ("waiting", "{", None)
    assert len(job["problems"]) == 3
    shown = project.run("jobs", "show", job_id).stdout
    assert "problem   the job's field 'timestamp' is no number but 'soon'\n" in shown
    assert "attempts  0 of ?\n" in shown
    assert f"{job_id}  hello  waiting  0/?" in project.run("jobs", "ls", "default").stdout


def test_everything_of_a_job_is_shown(project: Project, send: Send) -> None:
    done_id, failed_id = send("hello", {"name": "Ada"}), send("fail")
    project.run("worker", "--queue", "default", "--burst", "--name", "box")

    shown = project.run("jobs", "show", done_id).stdout.splitlines()
    for line in (
        "job       default/hello",
        f"id        {done_id}",
        "state     completed",
        "worker    box",
        'payload   {"name": "Ada"}',
        'result    "Hello, Ada!"',
        "log       greeting Ada",
    ):
        assert line in shown
    assert any(line.startswith("finished  20") and line.endswith("ago)") for line in shown)

    text = project.run("jobs", "show", f"default/{failed_id}").stdout
    assert "reason    the till is closed" in text
    assert "traceback 1 of 1\n" in text
    assert "GiveUp: the till is closed" in text


STEPS = """
from datetime import timedelta
from pydantic import BaseModel
from bullq import Context, GiveUp, StepFailed, job


class Nothing(BaseModel):
    pass


def burn() -> None:
    raise GiveUp("toast")


@job
async def steps(data: Nothing, ctx: Context) -> None:
    await ctx.run("render", lambda: {"pages": 2})
    try:
        await ctx.run("burn", burn)
    except StepFailed:
        await ctx.sleep("cool off", timedelta(hours=1))
"""


def test_a_sleeping_job_is_shown_with_its_steps(project: Project) -> None:
    project.write("jobs/default/steps_service.py", STEPS)
    job_id = project.answer("dispatch", "steps")["id"]
    project.run("worker", "--queue", "default", "--burst")
    shown = project.run("jobs", "show", job_id).stdout.splitlines()
    assert 'step      render: {"pages": 2}' in shown
    assert "step      burn: failed: GiveUp: toast" in shown
    [nap] = [line for line in shown if line.startswith("step      cool off: until ")]
    assert nap.endswith(" (in 1.0 h)")
    [due] = [line for line in shown if line.startswith("due ")]
    assert due.endswith(" (in 1.0 h)")
    facts = project.answer("jobs", "show", job_id)
    assert facts["steps"]["render"] == {"result": {"pages": 2}}
    assert facts["parked_until_ms"] == facts["steps"]["cool off"]["until"]

"""`bullq doctor` as people and programs read it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Send
from tests.support.commands import Project
from tests.support.servers import free_port


def test_a_healthy_application_is_told_within_80_columns(project: Project) -> None:
    done = project.run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line and line[0] != " "] == [
        "settings",
        "client",
        "jobs",
        "machine",
        "redis",
        "queue default",
        "queue data-sync",
        "queue scheduled",
        lines[-1],
    ]
    # The tests' own server keeps nothing on disk.
    assert lines[-1] == "no problems, 1 warning."
    assert "           -> redis-cli CONFIG SET appendonly yes, and the same in its" in lines


def test_a_problem_is_told_to_programs_and_by_the_exit_code(project: Project, send: Send) -> None:
    send("hello")
    done = project.run("doctor", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["ok"], told["problems"], told["warnings"]) == (False, 1, 1)
    [problem] = [one for one in told["findings"] if one["level"] == "problem"]
    assert (problem["subject"], problem["check"]) == ("queue default", "no-worker")
    assert problem["advice"] == "Start one: bullq worker --queue default."


def test_no_redis_has_its_own_exit_code_and_the_rest_is_told(project: Project) -> None:
    done = project.run("doctor", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert "5 jobs on 3 queues" in done.stdout
    assert "connection refused" in done.stdout
    assert "-> Start one with 'bullq dev', or set REDIS_URL." in done.stdout
    assert done.stdout.endswith("1 problem, no warnings.\n")


def test_wrong_settings_are_told_as_the_rest(project: Project) -> None:
    done = project.run("doctor", BULLQ_PREFX="shop")
    assert done.returncode == 1
    assert "did you mean BULLQ_PREFIX?" in done.stdout


def test_the_embedded_server_is_examined_and_left_behind_for_nobody(tmp_path: Path) -> None:
    project = Project(tmp_path, {"BULLQ_APP": "shop:app"})
    project.write("shop.py", "from bullq import Bullq\n\napp = Bullq(jobs=[])\n")
    told = json.loads(project.run("doctor", "--json").stdout)
    levels = {one["check"]: one["level"] for one in told["findings"]}
    assert (levels["persistence"], levels["eviction"]) == ("ok", "ok")
    assert levels["definitions"] == "warning"

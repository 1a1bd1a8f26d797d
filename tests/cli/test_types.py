from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from bullq_cli.app import run

from tests.cli.conftest import SERVICES
from tests.support.commands import Project


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """A project with jobs whose Redis is not there: writing types needs none."""
    project = Project(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1"})
    for path, text in SERVICES.items():
        project.write(path, text)
    return project


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Types = Callable[..., Answer]


@pytest.fixture
def types(
    offline: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Types]:
    """Run the command in this process, which is ten times as fast as in one of its own."""
    monkeypatch.chdir(offline.folder)
    monkeypatch.setenv("REDIS_URL", offline.environment["REDIS_URL"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "jobs"]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def run_types(*words: str) -> Answer:
        forget()
        code = run(["types", *words])
        return Answer(code, *capsys.readouterr())

    yield run_types
    forget()


def test_types_go_to_standard_output(offline: Project) -> None:
    done = offline.run("types")
    assert (done.returncode, done.stderr) == (0, "")
    assert '    "hello": { data: Hello; result: string };\n' in done.stdout
    assert done.stdout.endswith("};\n")


def test_a_file_is_written_once_and_then_left_alone(offline: Project, types: Types) -> None:
    file = offline.folder / "jobs.ts"
    assert types("--out", "jobs.ts").out == ("jobs.ts is written: 5 jobs on 2 queues\n")
    assert file.read_text() == types().out
    os.utime(file, (1, 1))
    assert types("-o", "jobs.ts").out == ("jobs.ts is up to date: 5 jobs on 2 queues\n")
    assert file.stat().st_mtime == 1


def test_check_passes_and_fails_by_the_file_and_writes_nothing(
    offline: Project, types: Types
) -> None:
    file = offline.folder / "jobs.ts"
    types("--out", "jobs.ts")
    assert types("--check", "--out", "jobs.ts").code == 0
    service = "jobs/default/hello_service.py"
    offline.write(service, SERVICES[service].replace("name: str", "named: str"))
    before = file.read_text()
    done = types("--check", "--out", "jobs.ts")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "error: jobs.ts is out of date: 2 lines are other ones. The first: -  name?: string;\n"
        "       The jobs' types have changed since it was written.\n"
        "       Write it anew: bullq types --out jobs.ts\n"
    )
    assert file.read_text() == before
    told = json.loads(types("--check", "--out", "jobs.ts", "--json").err)
    assert (told["error"]["code"], told["error"]["file"]) == ("out-of-date", "jobs.ts")


def test_check_fails_where_there_is_no_file_or_another_line_end(
    offline: Project, types: Types
) -> None:
    done = types("--check", "--out", "jobs.ts")
    assert (done.code, "error: jobs.ts is not there." in done.err) == (1, True)
    assert not (offline.folder / "jobs.ts").exists()
    text = types().out
    (offline.folder / "jobs.ts").write_bytes(text.replace("\n", "\r\n").encode())
    done = types("--check", "--out", "jobs.ts")
    assert (done.code, "Its line ends are other ones." in done.err) == (1, True)


def test_the_schema_is_json_with_the_same_names(offline: Project, types: Types) -> None:
    types("--schema", "--out", "jobs.json")
    schema = json.loads((offline.folder / "jobs.json").read_text())
    assert schema["properties"]["default"]["properties"]["hello"]["properties"] == {
        "data": {"$ref": "#/$defs/Hello"},
        "result": {"type": "string"},
    }
    assert types("--schema", "--check", "--out", "jobs.json").code == 0
    assert types("--check", "--out", "jobs.json").code == 1


def test_answers_for_programs(offline: Project, types: Types) -> None:
    text = types().out
    assert json.loads(types("--json").out) == {"queues": 2, "jobs": 5, "text": text}
    written = {"file": "jobs.ts", "changed": True, "queues": 2, "jobs": 5}
    assert json.loads(types("--out", "jobs.ts", "--json").out) == written
    assert json.loads(types("--out", "jobs.ts", "--json").out) == {**written, "changed": False}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--check"], "--check compares with a file."),
        (["--out", "missing/jobs.ts"], "missing/jobs.ts cannot be written: No such file"),
        (["--out", "jobs"], "jobs cannot be read: Is a directory"),
    ],
)
def test_wrong_input_is_told(types: Types, words: list[str], reason: str) -> None:
    done = types(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {reason}")


REMOTE = """
from pydantic import BaseModel
from bullq import RemoteJob


class Page(BaseModel):
    sku: str


refresh = RemoteJob(queue="storefront", name="refresh", data=Page, result=int)
"""


def test_a_worker_refuses_the_queue_of_another_service(project: Project) -> None:
    project.write("jobs/storefront/refresh_service.py", REMOTE)
    done = project.run("worker", "--queue", "storefront")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Another service works on the queue 'storefront'")
    done = project.run("worker", "--all", "--burst")
    assert (done.returncode, "worker started queue=storefront" in done.stderr) == (0, False)
    assert "worker started queue=default" in done.stderr


def test_who_waits_for_a_remote_job_in_vain_is_told_whom_to_start(project: Project) -> None:
    project.write("jobs/storefront/refresh_service.py", REMOTE)
    done = project.run("dispatch", "refresh", '{"sku": "a"}', "--wait", "100ms")
    assert done.returncode == 5
    assert "Another service works on it: start that service." in done.stderr

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Project
from tests.support.deadline import DEADLINE


@pytest.fixture
def made(tmp_path: Path) -> Project:
    """Give a project fresh from `bullq new`, with no Redis but the embedded one."""
    done = Project(tmp_path).run("new", "shop")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["Now type:", "  cd shop", "  bullq dev"]
    return Project(tmp_path / "shop")


def test_new_makes_a_project_whose_test_passes(made: Project) -> None:
    found = [path for path in made.folder.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(made.folder)) for path in found) == [
        ".gitignore",
        "README.md",
        "jobs/default/hello_service.py",
        "jobs/scheduled/tick_service.py",
        "pyproject.toml",
        "tests/test_hello.py",
    ]
    assert not any("{{" in path.read_text() for path in found)
    assert 'name = "shop"' in (made.folder / "pyproject.toml").read_text()
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        check=False,
        cwd=made.folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert "1 passed" in tested.stdout, tested.stdout + tested.stderr


def test_new_harms_no_folder_that_is_in_use(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("taken/file", "mine")
    done = project.run("new", "taken")
    assert done.returncode == 2
    assert done.stderr == (
        "error: The folder taken cannot be made: it exists and is not empty.\n"
        "       Take another name.\n"
    )
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]
    assert "is a file" in project.run("new", "taken/file").stderr
    assert "'-x' cannot be a project's name." in project.run("new", "--", "-x").stderr
    (tmp_path / "empty").mkdir()
    answer = project.answer("new", "empty")
    assert answer["next"] == ["cd empty", "bullq dev"]
    assert (tmp_path / "empty" / answer["files"][0]).exists()


def test_dev_runs_a_new_project_and_follows_its_changes(made: Project) -> None:
    service = made.folder / "jobs/default/hello_service.py"
    original = service.read_text()
    with made.running("dev") as dev:
        url = dev.wait_for("Redis: redis://127.0.0.1:").split()[1].rstrip(",")
        dev.wait_for("completed scheduled/tick")
        done = made.run("dispatch", "hello", '{"name": "Ada"}', "--wait", "50s")
        assert done.stdout == '{"text":"Hello, Ada!"}\n', done.stderr

        service.write_text(original.replace('"Hello, ', '"Good day, '))
        dev.wait_for("changed: jobs/default/hello_service.py")
        dev.wait_for("worker started queue=default")
        done = made.run("dispatch", "hello", "--wait", "50s")
        assert done.stdout == '{"text":"Good day, world!"}\n', done.stderr

        service.write_text(original + "\noops(\n")
        dev.wait_for("SyntaxError at import: '(' was never closed (hello_service.py, line")
        dev.wait_for("The workers ended with exit code 2.")
        service.write_text(original)
        dev.wait_for("worker started queue=default")
        # The server has outlived the workers of all three versions that could be imported.
        assert dev.output.count(f"embedded server at .bullq/ ({url})") == 3

        dev.signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output
    assert "Traceback" not in dev.output


def test_dev_uses_the_redis_that_is_named(project: Project) -> None:
    with project.running("dev", "--json") as dev:
        said = json.loads(dev.wait_for("redis_url"))
        assert said["redis_url"] == project.environment["REDIS_URL"]
        assert said["embedded"] is False
        dev.wait_for('"queue": "default"')
        dev.signal(signal.SIGTERM)
        assert dev.wait() == 0, dev.output
    assert not (project.folder / ".bullq").exists()


def test_workers_end_when_dev_is_killed(project: Project) -> None:
    with project.running("dev") as dev:
        dev.wait_for("worker started queue=default")
        dev.signal(signal.SIGKILL)
        # The workers hold the pipe to us, too: it closes when the last of them has ended.
        assert dev.wait() == -signal.SIGKILL
        assert "worker stopped queue=default" in dev.output

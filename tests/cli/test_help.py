from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main
from bullq_cli.app import app, run
from bullq_cli.exits import ExitCode

from tests.support.commands import BULLQ, Project
from tests.support.deadline import DEADLINE

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SLOW = ("pydantic", "redis", "bullmq", "rich", "structlog", "watchfiles", "asyncio", "uvloop")


def commands(group: Any = None, path: str = "bullq") -> Iterator[tuple[str, Any]]:
    """Walk the commands with what to type for each."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


ALL = dict(commands())


def test_all_commands_are_there() -> None:
    assert sorted(ALL) == [
        "bullq bench",
        "bullq dashboard",
        "bullq dev",
        "bullq dispatch",
        "bullq doctor",
        "bullq jobs ls",
        "bullq jobs promote",
        "bullq jobs remove",
        "bullq jobs retry",
        "bullq jobs show",
        "bullq jobs tree",
        "bullq new",
        "bullq outbox flush",
        "bullq outbox ls",
        "bullq outbox rm",
        "bullq queues clean",
        "bullq queues drain",
        "bullq queues events",
        "bullq queues limit",
        "bullq queues ls",
        "bullq queues obliterate",
        "bullq queues pause",
        "bullq queues promote",
        "bullq queues rescue",
        "bullq queues resume",
        "bullq queues retry",
        "bullq reconcile",
        "bullq serve",
        "bullq types",
        "bullq worker",
    ]


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help_and_stands_in_the_documentation(path: str) -> None:
    command = ALL[path]
    assert command.help
    section = DOCUMENT.partition(f"## `{path}")[2].partition("\n## ")[0]
    assert section, f"docs/cli.md has no section on {path}"
    options = [option for option in command.params if not getattr(option, "hidden", False)]
    assert [option.name for option in options if not option.help] == []
    missing = [option.opts[0] for option in options if option.param_type_name == "option"]
    assert [option for option in missing if not re.search(rf"{option}\b", section)] == []
    assert "--json" in missing


@pytest.mark.parametrize("path", ALL)
def test_help_names_arguments_as_the_documentation_does(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path.split()[1:], "--help"]) == 0
    usage, _, explained = capsys.readouterr().out.partition("\n")
    arguments = usage.removeprefix(f"Usage: {path} [OPTIONS]").strip()
    synopsis = DOCUMENT.partition(f"## `{path}`")[2].strip().partition("\n")[0]
    assert arguments in synopsis
    for argument in arguments.split():
        assert f"\n  {argument.strip('[].')}  " in explained


@pytest.mark.parametrize("path", ALL)
def test_the_first_sentence_of_help_is_shown_whole_in_lists(path: str) -> None:
    assert len(ALL[path].help.partition("\n")[0]) <= 60


def test_every_exit_code_stands_in_the_documentation() -> None:
    assert [code for code in ExitCode if f"| {code.value} |" not in DOCUMENT] == []


def test_help_imports_nothing_slow() -> None:
    code = f"""
import json, sys
from bullq_cli import main
assert main(["--help"]) == 0
print(json.dumps([name for name in {(*SLOW, "bullq")!r} if name in sys.modules]))
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=DEADLINE
    ).stdout
    assert json.loads(printed.splitlines()[-1]) == []


def test_ctrl_c_before_anything_has_begun_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    code = "import sys; from bullq_cli import main; sys.exit(main(['--help']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=tmp_path,  # where -c looks first
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_bullq_alone_prints_the_help(tmp_path: Path, record_property: Any) -> None:
    project = Project(tmp_path)
    alone = project.run()
    began = time.monotonic()
    asked = project.run("--help")
    # Told, not asserted: a busy machine says nothing about the command.
    record_property("help_ms", round((time.monotonic() - began) * 1000))
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout == asked.stdout
    assert re.search(r"worker +Run the jobs of one queue or several\.", alone.stdout)
    assert max(map(len, alone.stdout.splitlines())) <= 80


@pytest.mark.parametrize("group", ["queues", "jobs", "outbox"])
def test_a_group_alone_prints_its_help(tmp_path: Path, group: str) -> None:
    done = Project(tmp_path).run(group)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: bullq {group} ")


def test_the_version_is_the_package_s(tmp_path: Path) -> None:
    assert Project(tmp_path).run("--version").stdout == f"bullq {version('bullq')}\n"


def test_a_reader_that_has_enough_is_no_error(project: Project) -> None:
    done = subprocess.run(
        f"exec 3>&1; {{ '{BULLQ}' jobs ls default --json; echo $? >&3; }} | true",
        shell=True,
        check=False,
        cwd=project.folder,
        env=project._environment({}),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")

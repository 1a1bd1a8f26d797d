"""The image's own steps, carried out without an engine: build, install, run non-root, read-only."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gate.dockerfile import read_stages
from tests.gate.image_tree import ImageTree, usable_python
from tests.support.no_silent_skips import Need, need

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PYTHON = Need(
    "a Python 3.11 or newer that other users can run",
    "on Debian and Ubuntu: apt-get install python3-venv",
    lambda: usable_python() is not None,
)
NAMESPACES = Need(
    "setpriv and unshare",
    "on Debian and Ubuntu: apt-get install util-linux",
    lambda: shutil.which("setpriv") is not None and shutil.which("unshare") is not None,
)


@pytest.fixture(scope="module")
def tree() -> Iterator[ImageTree]:
    need(PYTHON, NAMESPACES)
    python = usable_python()
    assert python is not None
    # Not below pytest's own folder, which is closed to other users.
    root = Path(tempfile.mkdtemp(prefix="bullq-image-"))
    root.chmod(0o755)
    image = ImageTree(root, python)
    try:
        image.build()
        yield image
    finally:
        image.remove()


def test_every_step_but_the_user_s_creation_was_carried_out(tree: ImageTree) -> None:
    assert [one.keyword for one in tree.left_out] == ["RUN"]
    assert "useradd" in tree.left_out[0].value


def test_the_build_tools_stay_behind(tree: ImageTree) -> None:
    assert sorted(path.name for path in (tree.root / "opt").iterdir()) == ["bullq"]
    assert not (tree.root / "build").exists()


def test_the_scripts_came_with_the_wheel(tree: ImageTree) -> None:
    code = "from importlib import resources as r; print(r.files('bullq').joinpath('lua').is_dir())"
    result = tree.run("python", "-c", code)
    assert result.stdout == "True\n", result.stderr


@pytest.mark.parametrize("place", ["app", "app/examples/shop", "opt/bullq", "opt/bullq/bin"])
def test_nothing_can_be_written(tree: ImageTree, place: str) -> None:
    result = tree.run("touch", str(tree.root / place / "new"))
    assert result.returncode != 0
    assert "Permission denied" in result.stderr


@pytest.mark.parametrize(
    ("words", "promised"),
    [
        (("--help",), ("worker", "dispatch")),
        (("worker", "--help"), ("--queue", "--drain-timeout", "--heartbeat-file", "--log-format")),
    ],
    ids=["bullq", "worker"],
)
def test_the_command_line_answers(
    tree: ImageTree, words: tuple[str, ...], promised: tuple[str, ...]
) -> None:
    result = tree.run(*read_stages()[-1].last("ENTRYPOINT").words, *words)
    assert result.returncode == 0, result.stderr
    assert [word for word in promised if word not in result.stdout] == []


def test_the_example_application_is_importable(tree: ImageTree) -> None:
    result = tree.run(
        "python", "-c", "import importlib, os; importlib.import_module(os.environ['BULLQ_APP'])"
    )
    assert result.returncode == 0, result.stderr


def test_a_program_is_pid_1_without_root_s_powers(tree: ImageTree) -> None:
    code = "import os; print(os.getpid(), os.geteuid() != 0)"
    command = tree.command("python", "-c", code, pid_one=True)
    result = subprocess.run(
        command,
        check=False,
        cwd=tree.workdir,
        env=tree.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == "1 True\n", result.stderr

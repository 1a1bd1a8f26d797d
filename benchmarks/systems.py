"""Which systems are compared, how each is started, and what it has to have installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = Path(__file__).parent / ".venvs"
NODE_FOLDER = ROOT / "tests" / "interop"
_INSTALL_DEADLINE = 300.0  # seconds


class NotInstalled(Exception):  # noqa: N818 - what happened, named as people say it
    """A system cannot be run here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class System:
    """One system: *module* of benchmarks.peers plays its parts.

    *requirements* are installed into an environment of its own, or one that it shares by name;
    without any it runs in ours.
    *node_package* is the package that peers/node.mjs plays the parts with. *warm_jobs* come first
    in every run and do not count: Node is two to four times as fast once its code is compiled.
    *most_runs* count at most, where nothing is promised beside it; None: as many as of the others.
    """

    name: str
    title: str
    module: str = ""
    requirements: tuple[str, ...] = ()
    environment: str = ""
    node_package: str = ""
    warm_jobs: int = 0
    most_runs: int | None = None

    def command(self) -> list[str]:
        """Give the command to which the part and its order are added."""
        if self.node_package:
            return ["node", str(ROOT / "benchmarks" / "peers" / "node.mjs")]
        return [str(self._python()), "-m", f"benchmarks.peers.{self.module}"]

    def prepare(self) -> None:
        """Install what the system needs; raise NotInstalled, with the reason, if that fails."""
        if self.node_package:
            self._prepare_node()
        elif self.requirements and not self._marker().exists():
            self._prepare_python()

    def _python(self) -> Path:
        if not self.requirements:
            return Path(sys.executable)
        return self._environment() / "bin" / "python"

    def _marker(self) -> Path:
        return self._environment() / ".installed"

    def _environment(self) -> Path:
        return ENVIRONMENTS / (self.environment or self.name)

    def _prepare_python(self) -> None:
        ENVIRONMENTS.mkdir(exist_ok=True)
        (ENVIRONMENTS / ".gitignore").write_text("*\n", encoding="utf-8")
        venv.create(self._environment(), with_pip=True, clear=True)
        _install([str(self._python()), "-m", "pip", "install", "--quiet", *self.requirements])
        self._marker().touch()

    def _prepare_node(self) -> None:
        if shutil.which("node") is None:
            raise NotInstalled("there is no node on PATH")
        if (NODE_FOLDER / "node_modules" / self.node_package).is_dir():
            return
        if shutil.which("npm") is None:
            raise NotInstalled("there is no npm on PATH to install it with")
        _install(["npm", "ci", "--prefix", str(NODE_FOLDER), "--no-fund", "--no-audit"])


def _install(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_INSTALL_DEADLINE
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"the installation took longer than {_INSTALL_DEADLINE:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise NotInstalled(f"the installation failed: {said[-1]}")


# What bullq needs and nothing of its tests and tools; the code that runs is this checkout's, in
# which every part is started.
_FEW = 3
_OURS: dict[str, Any] = {"environment": "bullq", "requirements": (str(ROOT),)}
BULLQ = System(name="bullq", title="bullq, bare processor", module="with_bullq", **_OURS)
BULLQ_JOBS = System(
    name="bullq-jobs", title="bullq, @job and pydantic", module="with_bullq_jobs", **_OURS
)
PEERS = (
    System(name="node-6", title="Node BullMQ", node_package="bullmq", warm_jobs=10_000),
    System(name="node-5", title="Node BullMQ", node_package="bullmq5", warm_jobs=10_000),
    System(name="official", title="official Python BullMQ", module="with_official", **_OURS),
    System(
        name="streaq",
        title="streaq",
        module="with_streaq",
        requirements=("streaq", "uvloop"),
        most_runs=_FEW,
    ),
    System(
        name="saq",
        title="saq",
        module="with_saq",
        requirements=("saq[hiredis]", "typing_extensions", "uvloop"),
        most_runs=_FEW,
    ),
    System(
        name="arq", title="arq", module="with_arq", requirements=("arq", "uvloop"), most_runs=_FEW
    ),
    System(
        name="taskiq",
        title="taskiq, streams",
        module="with_taskiq",
        requirements=("taskiq", "taskiq-redis", "uvloop"),
        most_runs=_FEW,
    ),
    System(
        name="dramatiq",
        title="dramatiq, threads",
        module="with_dramatiq",
        requirements=("dramatiq[redis]",),
        most_runs=_FEW,
    ),
    System(
        name="rq", title="rq, SimpleWorker", module="with_rq", requirements=("rq",), most_runs=_FEW
    ),
    System(
        name="celery",
        title="celery, threads",
        module="with_celery",
        requirements=("celery[redis]",),
        most_runs=_FEW,
    ),
)
SYSTEMS = (BULLQ, BULLQ_JOBS, *PEERS)

"""Run the official client's own tests against a worker, from a checkout of its repository.

`python -m tests.interop.official CHECKOUT` compares the official worker with bullq's. None of
their code is in this repository: CHECKOUT is a clone of taskforcesh/bullmq.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bullq.store.binary import find_binary
from tests.interop.official.plugged_worker import DEADLINE, DROP_IN
from tests.support.servers import RedisServer, debian_redis

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PORT = 6379
"""Where their tests expect a Redis, which they empty after each test."""

NOT_APPLICABLE = {
    "test_worker_redis_compatibility_handles_are_none_for_non_redis_backends": (
        "asks for PostgreSQL, which bullq refuses by a sentence"
    ),
    "test_worker_uses_backend_minimum_block_timeout": (
        "asks for PostgreSQL, which bullq refuses by a sentence"
    ),
}
"""Tests of what a drop-in worker does not offer, by their names, and why."""


class CannotRun(Exception):  # noqa: N818 - a state of the machine
    """The tests cannot be run here; the message says why, and what to do."""


@dataclass
class Comparison:
    """The same tests with the official worker and with bullq's, by file."""

    official: dict[str, Outcome]
    drop_in: dict[str, Outcome]

    @property
    def broken(self) -> dict[str, str]:
        """What fails with bullq's worker alone, though it is applicable, and why."""
        return {
            name: why
            for file, outcome in self.drop_in.items()
            for name, why in outcome.failed.items()
            if name not in self.official[file].failed and name not in NOT_APPLICABLE
        }

    def table(self) -> str:
        """Give the figures of both in Markdown."""
        rows = [
            "| official test file | official worker | bullq's worker | not applicable |",
            "| --- | ---: | ---: | ---: |",
        ]
        for file, ours in self.drop_in.items():
            theirs = self.official[file]
            rows.append(
                f"| `{file}.py` | {_figures(theirs)} | {_figures(ours)} "
                f"| {len(NOT_APPLICABLE.keys() & ours.failed.keys()) or ''} |"
            )
        return "\n".join(rows)


@dataclass
class Outcome:
    """How one test file's tests ended, by their names."""

    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    """Why, in one line."""


def files_with_workers(checkout: Path) -> list[Path]:
    """Give the test files in which workers are made."""
    folder = python_folder(checkout) / "tests"
    return [file for file in sorted(folder.glob("*test*.py")) if "Worker(" in file.read_text()]


def python_folder(checkout: Path) -> Path:
    """Give the folder of the Python client in a checkout, or what already is that folder."""
    for folder in (checkout / "python", checkout):
        if (folder / "tests" / "worker_test.py").is_file():
            return folder.resolve()
    raise CannotRun(
        f"{checkout} is no checkout of taskforcesh/bullmq: it has no python/tests/worker_test.py"
    )


def run(checkout: Path, *, drop_in: bool, select: Sequence[str] = ()) -> dict[str, Outcome]:
    """Run the tests of workers, or those named in *select* alone, on a server of their own."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise CannotRun(
                f"Something listens at port {PORT}, and the official tests would empty it: stop it"
            )
    files = files_with_workers(checkout)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        server = RedisServer(debian_redis() or str(find_binary().path), Path(folder), PORT)
        server.start()
        try:
            _pytest(python_folder(checkout), files, report, drop_in=drop_in, select=select)
        finally:
            server.kill()
        return _read(report)


def _pytest(
    folder: Path, files: Sequence[Path], report: Path, *, drop_in: bool, select: Sequence[str]
) -> None:
    environment = {name: os.environ[name] for name in os.environ if name != DROP_IN}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # the checkout is left as it is
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), str(ROOT)])
    if drop_in:
        environment[DROP_IN] = "1"
    chosen = ["-k", " or ".join(select)] if select else []
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "plugged_worker"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--junitxml={report}", *chosen, *map(str, files)],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE * 60,
    )
    if not report.is_file():
        raise CannotRun(f"pytest ended by itself:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def compare(checkout: Path) -> Comparison:
    """Run the tests with either worker; what fails with bullq's alone has a second chance."""
    found = Comparison(run(checkout, drop_in=False), run(checkout, drop_in=True))
    if found.broken:
        for file, again in run(checkout, drop_in=True, select=list(found.broken)).items():
            for name in again.passed & found.broken.keys():
                del found.drop_in[file].failed[name]
                found.drop_in[file].passed.add(name)
    return found


def _figures(outcome: Outcome) -> str:
    failed = {name for name in outcome.failed if name not in NOT_APPLICABLE}
    return f"{len(outcome.passed)} passed" + (f", {len(failed)} failed" if failed else "")


def _read(report: Path) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for case in ET.parse(report).iter("testcase"):
        name = case.get("name", "")
        parts = case.get("classname", "").split(".")
        outcome = outcomes.setdefault(next(part for part in parts if "test" in part[1:]), Outcome())
        trouble = case.find("failure")
        if trouble is None:
            trouble = case.find("error")
        if trouble is not None:
            outcome.failed[name] = (trouble.get("message") or "").partition("\n")[0][:120]
        elif case.find("skipped") is None:
            outcome.passed.add(name)
    return outcomes

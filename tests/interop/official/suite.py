"""Run the official client's own tests against a worker, from a checkout of its repository.

`python -m tests.interop.official CHECKOUT` compares the official worker with bullq's. None of
their code is in this repository: CHECKOUT is a clone of taskforcesh/bullmq.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bullq.store.binary import find_binary
from tests.interop.official.plugged_worker import DEADLINE, DROP_IN, GRACE, REPORT
from tests.support.servers import RedisServer, debian_redis

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PORT = 6379
"""Where their tests expect a Redis, which they empty after each test."""
MOST_TESTS = 300
_ORDERLY = {0, 1, 5}  # pytest's exit codes for: all passed, some failed, none were left to run

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


def run(checkout: Path, *, drop_in: bool) -> dict[str, Outcome]:
    """Run the tests of workers on a server of their own; what fails has a second chance."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise CannotRun(
                f"Something listens at port {PORT}, and the official tests would empty it: stop it"
            )
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(debian_redis() or str(find_binary().path), Path(folder), PORT)
        server.start()
        try:
            report = Path(folder) / "report"
            ended = _ended(checkout, report, drop_in=drop_in)
            if again := [name for name in map(_name, _failed(ended)) if name not in NOT_APPLICABLE]:
                ended |= _ended(checkout, report, drop_in=drop_in, select=again)
            return _by_file(ended)
        finally:
            server.kill()


def _ended(
    checkout: Path, report: Path, *, drop_in: bool, select: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """Run the tests, or those named in *select* alone, in as many processes as it takes.

    Gives how each ended, by its id.
    """
    ended: dict[str, dict[str, str]] = {}
    while True:
        report.write_text("", encoding="utf-8")
        code = _pytest(checkout, report, drop_in=drop_in, select=select, without=ended)
        lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
        ended |= {line["id"]: line for line in lines}
        stuck = [line for line in ended.values() if line["outcome"] == "begun"]
        for line in stuck:
            line |= {"outcome": "failed", "why": "could not be stopped: its process was ended"}
        if not stuck and code in _ORDERLY:
            return ended
        if not lines:
            raise CannotRun(f"pytest ended by itself, with exit code {code}, and ran no test")


def _pytest(
    checkout: Path, report: Path, *, drop_in: bool, select: Sequence[str], without: Iterable[str]
) -> int:
    environment = {name: os.environ[name] for name in os.environ if name != DROP_IN}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # the checkout is left as it is
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), str(ROOT)])
    environment[REPORT] = str(report)
    if drop_in:
        environment[DROP_IN] = "1"
    chosen = ["-k", " or ".join(select)] if select else []
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "plugged_worker", *chosen]
    done = subprocess.run(
        [
            *(*command, "-p", "no:cacheprovider"),
            *(f"--deselect={one}" for one in without),
            *map(str, files_with_workers(checkout)),
        ],
        cwd=python_folder(checkout),
        env=environment,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=(DEADLINE + GRACE) * MOST_TESTS,
    )
    return done.returncode


def _by_file(ended: dict[str, dict[str, str]]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for test, line in ended.items():
        outcome = outcomes.setdefault(Path(test.partition("::")[0]).stem, Outcome())
        if line["outcome"] == "passed":
            outcome.passed.add(_name(test))
        elif line["outcome"] == "failed":
            outcome.failed[_name(test)] = line["why"][:120]
    return outcomes


def _failed(ended: dict[str, dict[str, str]]) -> list[str]:
    return [test for test, line in ended.items() if line["outcome"] == "failed"]


def _name(test: str) -> str:
    return test.rpartition("::")[2]


def compare(checkout: Path) -> Comparison:
    """Run the tests with either worker."""
    return Comparison(run(checkout, drop_in=False), run(checkout, drop_in=True))


def _figures(outcome: Outcome) -> str:
    failed = {name for name in outcome.failed if name not in NOT_APPLICABLE}
    return f"{len(outcome.passed)} passed" + (f", {len(failed)} failed" if failed else "")

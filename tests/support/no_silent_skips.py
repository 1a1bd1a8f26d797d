"""Fail skipped tests in CI, except those that need what a CI machine cannot be given.

A pytest plugin. A test that depends on its machine says so with ``need(DOCKER)``: elsewhere it is
skipped with a reason that says what to install, in CI (``CI=true``) it fails. Only needs marked
``optional_in_ci`` may be skipped there, and every other skip, however it came about, is a failure:
a suite that quietly shrinks still looks green.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

NODE_CLIENTS = Path(__file__).parents[1] / "interop" / "node_modules" / "bullmq"
SHOP_COMPILER = (
    Path(__file__).parents[2] / "examples" / "shop" / "node" / "node_modules" / "typescript"
)
PROBE_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Need:
    """Something of the machine that a test cannot bring along."""

    name: str
    remedy: str
    present: Callable[[], bool]
    optional_in_ci: bool = False

    @property
    def reason(self) -> str:
        """Say what is missing and what to do, as the summary of skips prints it."""
        return f"needs {self.name}: {self.remedy}"


@functools.cache
def docker_answers() -> bool:
    """Tell whether a Docker engine answers, not only whether its client is installed."""
    if shutil.which("docker") is None:
        return False
    try:
        info = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            check=False,
            capture_output=True,
            timeout=PROBE_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return False
    return info.returncode == 0


def chromium() -> str | None:
    """Give the path of an installed Chromium or Chrome, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


DOCKER = Need(
    "a Docker engine",
    "start one, 'docker version' must show a server",
    docker_answers,
    optional_in_ci=True,
)
NODE = Need(
    "Node and its bullmq clients",
    "run 'make node'",
    lambda: shutil.which("node") is not None and NODE_CLIENTS.is_dir(),
)
SHOP_NODE = Need(
    "the packages of the example's Node side",
    "run 'make node'",
    lambda: shutil.which("node") is not None and SHOP_COMPILER.is_dir(),
)
BOARD = Need(
    "Node and npm for bull-board",
    "on Debian and Ubuntu: apt-get install nodejs npm",
    lambda: None not in {shutil.which("node"), shutil.which("npm")},
)
CHROMIUM = Need(
    "Chromium",
    "on Debian and Ubuntu: apt-get install chromium",
    lambda: chromium() is not None,
)
REDIS_SERVER = Need(
    "redis-server on PATH",
    "on Debian and Ubuntu: apt-get install redis-server",
    lambda: shutil.which("redis-server") is not None,
)
OFFICIAL_CHECKOUT = Need(
    "the official client's own tests",
    "set BULLQ_TEST_OFFICIAL_CHECKOUT to a clone of taskforcesh/bullmq",
    lambda: bool(os.environ.get("BULLQ_TEST_OFFICIAL_CHECKOUT")),
    optional_in_ci=True,
)
NEEDS = (DOCKER, NODE, SHOP_NODE, BOARD, CHROMIUM, REDIS_SERVER, OFFICIAL_CHECKOUT)


def need(*needs: Need) -> None:
    """Skip the running test when one of *needs* is absent, which the plugin fails in CI."""
    for one in needs:
        if not one.present():
            pytest.skip(one.reason)


def in_ci() -> bool:
    """Tell whether this run is CI's, which promises to install whatever can be installed."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def excused(reason: str) -> bool:
    """Tell whether *reason* names a need that CI may lack and that is really absent."""
    return any(reason == one.reason and one.optional_in_ci and not one.present() for one in NEEDS)


def fail_unexcused(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn *report* into a failure when it is a skip that CI must not have."""
    if not report.skipped or hasattr(report, "wasxfail") or not in_ci():
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if excused(reason):
        return
    report.outcome = "failed"
    report.longrepr = (
        f"Skipped in CI ({reason}). Whatever can run there must run: let .ci/run install what is "
        "missing, or mark the need as optional_in_ci in tests/support/no_silent_skips.py."
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge skips of single tests, in their setup or their body."""
    report = yield
    fail_unexcused(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge skips of whole modules, as ``importorskip`` makes them."""
    report = yield
    fail_unexcused(report)
    return report

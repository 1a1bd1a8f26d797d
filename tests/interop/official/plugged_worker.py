"""Give the official client's tests a worker, and each of them a deadline.

A pytest plugin of its own process. It is imported before the tests, and so is the installed
client: their checkout has another one, whose Lua scripts are made by a build. How each test ends
is written down at once: a test that cannot be stopped takes its process with it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bullmq
import bullmq.worker
import pytest

import bullq

DROP_IN = "BULLQ_TEST_DROP_IN"
"""Set for a run in which bullq.Worker takes the place of bullmq.Worker."""
DEADLINE = 30
"""Seconds that a test may take, as their own settings have it."""
GRACE = 10
"""Seconds after that in which it has to end."""
REPORT = "BULLQ_TEST_REPORT"
"""Names the file to which a line of JSON is added when a test begins, and when it has ended."""

if os.environ.get(DROP_IN):
    bullmq.Worker = bullmq.worker.Worker = bullq.Worker


def _write(line: dict[str, str]) -> None:
    with Path(os.environ[REPORT]).open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(line)}\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """End the process of a test that cannot be stopped: the official worker can spin for ever."""
    _write({"id": item.nodeid, "outcome": "begun"})
    faulthandler.dump_traceback_later(DEADLINE + GRACE, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how a test has ended."""
    if report.when == "call" or report.failed:
        why = str(report.longrepr).strip().rpartition("\n")[2] if report.failed else ""
        crash = getattr(report.longrepr, "reprcrash", None)
        told = why if crash is None else crash.message.partition("\n")[0]
        _write({"id": report.nodeid, "outcome": report.outcome, "why": told})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """End a test that hangs."""

    def end(*_: Any) -> None:
        pytest.fail(f"it took longer than {DEADLINE} s")

    signal.signal(signal.SIGALRM, end)
    signal.alarm(DEADLINE)
    try:
        return (yield)
    finally:
        signal.alarm(0)

"""Give the official client's tests a worker, and each of them a deadline.

A pytest plugin of its own process. It is imported before the tests, and so is the installed
client: their checkout has another one, whose Lua scripts are made by a build.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import bullmq
import bullmq.worker
import pytest

import bullq

DROP_IN = "BULLQ_TEST_DROP_IN"
"""Set for a run in which bullq.Worker takes the place of bullmq.Worker."""
DEADLINE = 30
"""Seconds that a test may take, as their own settings have it."""

if os.environ.get(DROP_IN):
    bullmq.Worker = bullmq.worker.Worker = bullq.Worker


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

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.deadline import DEADLINE


def test_a_process_whose_event_loop_stays_blocked_is_ended_all_the_same() -> None:
    code = """
import os, signal
from bullq_cli import signals
signals.LAST_RESORT = 0.05
handlers = signals.StopSignals()
handlers.install()
handlers.attach(lambda: print("asked to stop", flush=True), 0.05)
blocked, _ = os.pipe()
os.kill(os.getpid(), signal.SIGTERM)
os.read(blocked, 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 1
    assert done.stdout == "asked to stop\n"
    assert done.stderr == "bullq: the workers have not stopped in time, a job blocks them; ended\n"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        # A terminal that closes tells of it more than once, and that is no order to end at once.
        ("os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGHUP)", "stop\n"),
        # Its own children are ended as any others, and it does not take their signals for its own.
        (
            "child = os.fork()\n"
            "if not child: os.kill(os.getpid(), signal.SIGTERM)\n"
            "print(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
            f"{int(signal.SIGTERM)}\n",
        ),
        # Also when they are sent before it can know that it is a child.
        (
            "ends = set()\n"
            "for _ in range(20):\n"
            "    child = os.fork() or signal.pause()\n"
            "    os.kill(child, signal.SIGTERM)\n"
            "    ends.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
            "print(*ends)",
            f"{-int(signal.SIGTERM)}\n",
        ),
    ],
    ids=["hang-up", "fork", "fresh forks"],
)
def test_a_signal_is_taken_as_it_is_meant(sent: str, told: str) -> None:
    code = f"""
import os, signal
from bullq_cli import signals
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where nohup runs the tests
handlers = signals.StopSignals()
handlers.install()
handlers.attach(lambda: print("stop", flush=True), 600)
{sent}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=DEADLINE
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


def test_a_hang_up_that_was_to_be_ignored_still_is() -> None:
    code = """
import os, signal
from bullq_cli import signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signals.StopSignals().install()
os.kill(os.getpid(), signal.SIGHUP)
print("goes on")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=DEADLINE
    )
    assert (done.returncode, done.stdout) == (0, "goes on\n")

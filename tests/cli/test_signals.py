from __future__ import annotations

import subprocess
import sys

from tests.support.deadline import DEADLINE


def test_a_process_whose_event_loop_stays_blocked_is_ended_all_the_same() -> None:
    code = """
import os, signal
from bullq_cli import signals
signals._LAST_RESORT = 0.05
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

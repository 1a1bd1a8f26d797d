"""Run the tests in parts, several at once: most of what they do is wait.

`python -m tests.together` runs all of them. With arguments, such as a file or `-k shutdown`, it
runs pytest with these, in one process.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).parent
PARTS = {
    "workers": [
        "integration/worker",
        "integration/traps",
        "integration/processes",
        "integration/dispatch",
        "drills",
    ],
    "clients": ["interop", "cli", "browser"],
}
"""Folders that go together in a part of their own; what is not here makes the last part."""
LONGEST = 1200
"""Seconds after which a part is killed: a test of it hangs."""


def commands() -> dict[str, list[str]]:
    """Give the arguments of pytest for each part."""
    named = {name: [str(TESTS / folder) for folder in folders] for name, folders in PARTS.items()}
    apart = [f"--ignore={folder}" for folders in named.values() for folder in folders]
    return {**named, "rest": [str(TESTS), *apart]}


def run(name: str, arguments: list[str]) -> int:
    """Run one part, tell what it said once it has ended, and give its exit status."""
    began = time.monotonic()
    tests = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    overdue = threading.Timer(LONGEST, tests.kill)
    overdue.start()
    said, _ = tests.communicate()
    overdue.cancel()
    seconds = time.monotonic() - began
    status = tests.returncode
    if not status and " passed" not in said.rstrip().rpartition("\n")[2]:
        status, said = 1, f"{said}\nThe tests ended before their end: pytest has told no result."
    sys.stdout.write(f"\n== {name}: {seconds:.0f} s, exit status {status}\n{said}\n")
    sys.stdout.flush()
    return status


def main(arguments: list[str]) -> int:
    """Run what is asked for, or everything."""
    # A shell's background jobs ignore Ctrl-C, and so would the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if arguments:
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode
    parts = commands()
    with ThreadPoolExecutor(len(parts)) as pool:
        statuses = list(pool.map(run, parts, parts.values()))
    return max(statuses, key=abs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

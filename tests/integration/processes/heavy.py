"""Jobs that run in processes: they are imported there by this module's name."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from bullq import GiveUp, RetryAfter, job


class Work(BaseModel):
    how: str = "return"
    file: Path = Path("/dev/null")


class Done(BaseModel):
    pid: int
    at: datetime


class Number(BaseModel):
    number: int


@job(queue="default", executor="process", attempts=1)
def work(data: Work) -> Done:
    """Do as *how* says."""
    match data.how:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise KeyError("till")
        case "give up":
            raise GiveUp("the till is closed")
        case "sys.exit":
            sys.exit("enough")
        case "group":
            raise ExceptionGroup("two tills", [GiveUp("closed"), KeyError("till")])
        case "surrogate":
            raise ValueError("half a character \udc80")
        case "print":
            print("printed by a job")  # noqa: T201 - what jobs print must not mix with answers
    return Done(pid=os.getpid(), at=datetime.now(UTC))


@job(queue="default", executor="process", attempts=2)
def die_once(data: Work) -> str:
    """Kill the process in the first attempt."""
    if not data.file.exists():
        data.file.touch()
        os._exit(3)
    return "second attempt"


@job(queue="default", executor="process", attempts=1)
def leave_fork(data: Work) -> None:
    """End the process while one lives on that it has forked, which has all that is open here."""
    if os.fork():
        os._exit(3)
    note(data)
    time.sleep(600)


@job(queue="default", executor="process", attempts=1)
def end_forks(data: Work) -> set[int | None]:
    """End processes by multiprocessing's own way as they begin, and tell their exit codes."""
    context = multiprocessing.get_context("fork")
    codes: set[int | None] = set()
    for _ in range(20):
        forked = context.Process(target=time.sleep, args=(600,))
        forked.start()
        forked.terminate()
        forked.join()
        codes.add(forked.exitcode)
    return codes


@job(queue="default", executor="process", attempts=2)
def later(data: Work) -> str:
    """Ask to be tried again."""
    if not data.file.exists():
        data.file.touch()
        raise RetryAfter(0.05, "busy")
    return "second attempt"


@job(queue="default", executor="process", attempts=1, timeout=1)
def spin(data: Work) -> None:
    """Note the process, then let no other thread of it run for minutes, as C code can."""
    note(data)
    ctypes.PyDLL(None).sleep(600)


@job(queue="short", executor="process")
def spin_long(data: Work) -> str:
    """Note the process; use the CPU for minutes at the first attempt, then end at once."""
    if note(data) == 1:
        burn(600)
    return "another attempt"


@job(queue="default", executor="process", attempts=1)
def liar(data: Work) -> int:
    """Give a result of another type than declared."""
    return "no number"  # type: ignore[return-value]


def _under_another_name(data: Number) -> int:
    return data.number * 2


double = job(queue="default", name="double", executor="process")(_under_another_name)


def burn(seconds: float) -> None:
    """Use the CPU."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def note(data: Work) -> int:
    """Append the process id to the job's file; tell how many there are."""
    with data.file.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(data.file.read_text().splitlines())

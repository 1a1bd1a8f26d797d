"""A process that runs jobs for a worker, one at a time; processes.py starts it, never a person.

It gets a payload as JSON text and gives back a result as JSON text, both by the job's own types.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
from operator import attrgetter
from queue import SimpleQueue
from typing import Any

from bullq.engines.bullmq import UNRECOVERABLE
from bullq.errors import PayloadError, ResultError
from bullq.jobs.definition import JobDefinition, JobPolicy
from bullq.jobs.failure import is_one_of
from bullq.jobs.retry import asked_wait
from bullq.worker.frames import LENGTH, packed, unpacked
from bullq.worker.outcome import Failure
from bullq.worker.rejection import Rejected

_PR_SET_PDEATHSIG = 1
_ENDINGS = (signal.SIGINT, signal.SIGTERM)
_forking = threading.local()
"""What the thread that forks has held back of signals before."""


class Processor:
    """Answers one frame after the other on *channel*, until the worker closes it or dies."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._frames: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._jobs: dict[tuple[str, str], JobDefinition[Any, Any]] = {}

    def run(self) -> None:
        """Answer for ever: the end comes from the thread that listens, or from a signal."""
        threading.Thread(target=self._listen, name="bullq listener", daemon=True).start()
        while True:
            frame = self._frames.get()
            try:
                answer = packed({"result": self._answer(frame)})
            except BaseException as error:  # noqa: BLE001 - all that a job raises is its outcome
                answer = packed(describe(error))
            self._flush()
            self._channel.sendall(answer)

    def _answer(self, frame: dict[str, Any]) -> str:
        if frame["verb"] == "ping":
            return ""
        place = (frame["module"], frame["function"])
        if frame["verb"] == "find":
            sys.path[:] = frame["path"]
            self._jobs[place] = find(*place)
            return ""
        return call(self._jobs[place], frame["data"])

    def _listen(self) -> None:
        """Take frames while a job runs, too, so that the worker's end is seen at once."""
        while True:
            length = self._receive(LENGTH.size)
            self._frames.put(unpacked(self._receive(LENGTH.unpack(length)[0])))

    def _receive(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = b""
            with contextlib.suppress(OSError):
                part = self._channel.recv(min(count - len(parts), 1 << 20))
            if not part:
                os._exit(0)  # a job that runs has nobody to give its result to
            parts += part
        return bytes(parts)

    @staticmethod
    def _flush() -> None:
        """Write out what the job has printed before its worker may end this process."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()


def find(module: str, function: str) -> JobDefinition[Any, Any]:
    """Import the job that is called *function* in *module*."""
    found = attrgetter(function)(importlib.import_module(module))
    if isinstance(found, JobDefinition):
        return found
    return JobDefinition(found, queue="", name="", policy=JobPolicy())


def call(job: JobDefinition[Any, Any], text: str) -> str:
    """Run *job* on a payload and give its result, both as JSON text."""
    try:
        data = job.payload.decode(text)
    except PayloadError as error:
        raise Rejected(error) from None
    value = job.function(data)
    try:
        return job.result.encode(value)
    except ResultError as error:
        raise Rejected(error) from None


def describe(error: BaseException) -> dict[str, Any]:
    """Give an error as a frame: its kind, as far as it means something to the worker, and words."""
    failure = Failure(error.error if isinstance(error, Rejected) else error)
    frame: dict[str, Any] = {"kind": "error", "reason": failure.reason, "trace": failure.trace}
    if isinstance(error, Rejected):
        frame["kind"] = "rejected"
    elif is_one_of(error, UNRECOVERABLE):
        frame["kind"] = "give-up"
    elif (delay := asked_wait(error)) is not None:
        frame |= {"kind": "retry-after", "delay": delay}
    return frame


def _die_with(worker: int) -> None:
    """Have the kernel kill this process when its worker dies, where it can.

    A job in C code that never lets Python's threads run would outlive its worker otherwise.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # noqa: PLC0415 - only Linux has the call

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:
        os._exit(0)


def _hold_signals() -> None:
    """Keep what a fork is sent until it can end by it: sent before that, it would do nothing."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)


def _take_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _be_ordinary() -> None:
    """Have a process that a job forks, such as multiprocessing's, end by the signals it is sent."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _take_signals()


def main(channel: str, worker: str) -> None:
    """Serve the worker with the process id *worker* on the file descriptor *channel*."""
    _die_with(int(worker))
    for number in _ENDINGS:
        # The worker decides when its jobs end. Not SIG_IGN, which a job's own programs would get.
        signal.signal(number, lambda *_: None)
    os.register_at_fork(
        before=_hold_signals, after_in_parent=_take_signals, after_in_child=_be_ordinary
    )
    Processor(socket.socket(fileno=int(channel))).run()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What signals do to a process of workers: the first stops it in order, the second ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

LAST_RESORT = 15.0
"""Seconds beyond the drain timeout for outcomes to be recorded."""


_forking = threading.local()
"""What the thread that forks has held back of signals before."""


class StopSignals:
    """The handlers of one process.

    They are Python's own, not an event loop's: a job that blocks the loop must not keep the
    second signal from ending the process. As PID 1, a process without handlers gets no signals
    at all, so they are set before anything slow happens.
    """

    def __init__(self) -> None:
        self.received = 0
        """How many signals have come."""
        self.to_json = False
        """Whether what is told is one line of JSON, as the other log lines are."""
        self._stop: Callable[[], None] | None = None
        self._at_once: Callable[[], None] | None = None
        self._patience = 0.0

    def install(self) -> None:
        """Take the signals over; until attach() is called, the first one ends the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(signal.SIGHUP, self._hang_up)
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_take_signals, after_in_child=_be_ordinary
        )

    def attach(
        self,
        stop: Callable[[], None],
        drain_seconds: float,
        at_once: Callable[[], None] | None = None,
    ) -> None:
        """Have the first signal call *stop*, which must be quick, from the main thread.

        The second calls *at_once* before it ends the process. A process that has not ended
        *drain_seconds* and a margin later is ended all the same: its event loop is blocked.
        """
        self._stop = stop
        self._at_once = at_once
        self._patience = drain_seconds + LAST_RESORT

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.received += 1
        if self.received > 1:
            self._tell("ended at once by a second signal; running jobs are taken back as stalled")
            try:
                if self._at_once is not None:
                    self._at_once()
            finally:
                os._exit(128 + number)
        if self._stop is None:
            os._exit(0)  # nothing has begun; an exception could be caught by what is imported
        self._stop()
        timer = threading.Timer(self._patience, self._give_up)
        timer.daemon = True
        timer.start()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        """Stop in order, once: a terminal that closes and its shell both tell of it."""
        if not self.received:
            self._handle(number, frame)

    def _give_up(self) -> None:
        self._tell("the workers have not stopped in time, a job blocks them; ended")
        os._exit(1)

    def _tell(self, text: str) -> None:
        told = json.dumps({"event": text, "level": "error"}) if self.to_json else f"bullq: {text}"
        # Not through sys.stderr, whose lock the interrupted code may hold.
        with contextlib.suppress(OSError):  # whoever read it may have gone
            os.write(2, f"{told}\n".encode())


def _hold_signals() -> None:
    """Keep what a fork is sent until it can end by it: sent before that, it would do nothing."""
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ends)


def _take_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _be_ordinary() -> None:
    """Have a process that a job forks, such as multiprocessing's, end by the signals it is sent.

    It shares the pipe that wakes the event loop at a signal, and must not write there.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    _take_signals()


def end_with_stdin() -> None:
    """Stop in order when standard input closes: the process that holds it has ended."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="bullq stdin", daemon=True).start()

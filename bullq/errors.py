"""Every error bullq raises, each with a sentence for the person who reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any


class BullqError(Exception):
    """The base of all errors raised by bullq."""


class SettingsError(BullqError):
    """A setting is unknown or impossible; the message names it, its value and what is allowed."""


class JobDefinitionError(BullqError):
    """Jobs are defined in a way that cannot work; lists every problem found, not only the first."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DispatchError(BullqError):
    """The base of what can end a dispatch: the job is not queued, or nobody knows.

    Where it ends a dispatch_many midway, these tell what became of the items, by their places
    from 0; an item that is in none of them was not queued.
    """

    receipts: Mapping[int, Any] = MappingProxyType({})
    """The receipts of the jobs that are queued."""
    queued: Mapping[int, str] = MappingProxyType({})
    """The ids of these jobs."""
    doubtful: Mapping[int, str] = MappingProxyType({})
    """The ids of jobs that were sent without an answer: they may be queued."""


class InvalidOptionError(DispatchError):
    """A job id, name, queue name or option that BullMQ refuses or would mishandle."""


class PayloadError(DispatchError):
    """A payload that does not fit the job's declared type."""


class ResultError(BullqError):
    """A result that does not fit the job's declared type or that JSON cannot hold."""


class UnknownQueueError(BullqError):
    """No queue of that name is registered."""


class UnknownJobError(BullqError):
    """No job of that name is registered on the queue."""


class RemoteJobError(BullqError):
    """The job is run by another service, so that nothing here can run it."""


class JobNotFound(BullqError):  # noqa: N818 - a state of the world, named as people say it
    """The queue has no job of that id."""


class ActionRefused(BullqError):  # noqa: N818 - what happened, named as people say it
    """A queue or a job is in a state in which what was asked cannot be done; says why."""


class StoreUnavailable(DispatchError):  # noqa: N818 - a state of the world, named as people say it
    """Redis cannot be reached, started or used; the message says what to do next.

    *in_doubt*: the command was sent and no answer came, so it may have been executed. *silent*:
    no answer came in time, so that asking again would take as long.
    """

    def __init__(self, message: str, *, in_doubt: bool = False, silent: bool = False) -> None:
        self.in_doubt = in_doubt
        self.silent = silent
        super().__init__(message)


class DispatchInDoubt(DispatchError):  # noqa: N818 - a state of the world, named as people say it
    """The job was sent and no answer came: it may or may not be queued, under *job_id*."""

    def __init__(self, message: str, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(message)


class DispatchUnavailable(DispatchError):  # noqa: N818 - a state of the world, named as people say it
    """No engine took the job, and there is no outbox to keep it in: it will not run."""


class JobFailed(BullqError):  # noqa: N818 - what happened to the job, named as people say it
    """A job that somebody waits for has failed for good; *reason* is its failure's message."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"Job {job_id} failed: {reason}")


class StepMisuse(BullqError):  # noqa: N818 - what the job's author did
    """Steps are used in a way that no engine can keep; the job fails at once, unretried."""


class StepFailed(BullqError):  # noqa: N818 - what happened to the step, named as people say it
    """A step of a job has failed for good, told alike by every engine.

    *step* is its id; *name* the type of what it raised last, *message* its text, *trace* its
    traceback as text. Uncaught, it fails the job: its attempts are spent.
    """

    def __init__(self, step: str, name: str, message: str, trace: str = "") -> None:
        self.step = step
        self.name = name
        self.message = message
        self.trace = trace
        super().__init__(f"the step {step!r} failed: {name}: {message}")
        if trace:
            self.add_note(trace.rstrip())  # tracebacks of the job tell where the step failed


class ResultTimeout(BullqError, TimeoutError):  # noqa: N818 - as TimeoutError itself
    """A result did not arrive in time; the job goes on."""


class ResultGone(BullqError):  # noqa: N818 - a state of the world, named as people say it
    """The job's record is gone, and with it its result."""


class GiveUp(Exception):  # noqa: N818 - raised by business code as an instruction
    """Raise in a job to fail it at once, without the attempts that are left."""


class RetryAfter(Exception):  # noqa: N818 - raised by business code as an instruction
    """Raise in a job to try again after *delay* in place of the job's own backoff.

    *delay* is seconds or a timedelta, and is kept as seconds.
    It spends an attempt like any failure, and the last attempt fails for good.
    """

    def __init__(self, delay: timedelta | float, message: str = "") -> None:
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0 <= seconds < math.inf:
            raise ValueError(f"RetryAfter takes a delay of 0 seconds or more, not {delay}")
        self.delay = seconds
        super().__init__(message or f"asked to be tried again in {seconds:g} s")

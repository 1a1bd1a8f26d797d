"""What can go wrong in a command: its exit code, and its name for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """The exit codes of every command; those above 128 name the signal that ended it."""

    OK = 0
    FAILED = 1
    WRONG_INPUT = 2
    NO_REDIS = 3
    NOT_FOUND = 4
    TIME_IS_UP = 5
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass
class CommandError(Exception):
    """A command cannot go on; *message* has a line each for what failed, why and what to do."""

    message: str
    exit: ExitCode
    code: str
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


def wrong_input(message: str) -> CommandError:
    """Give the error for something that was typed and cannot be used."""
    return CommandError(message, ExitCode.WRONG_INPUT, "usage")


def as_command_error(error: Exception) -> CommandError | None:
    """Give what a person should read of *error*; None where only its traceback helps."""
    if isinstance(error, CommandError):
        return error
    # Typer has no public name for the base of its usage errors.
    describe = getattr(error, "format_message", None)
    if describe is not None:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "bullq"
        told = str(describe()).replace("Value error, ", "").rstrip(".")
        told += "" if told.endswith("?") else "."
        return wrong_input(f"{told}\nSee '{path} --help'.")
    return _from_bullq(error)


def _from_bullq(error: Exception) -> CommandError | None:
    from bullq import errors

    known: list[tuple[type[Exception], ExitCode, str]] = [
        (errors.SettingsError, ExitCode.WRONG_INPUT, "settings"),
        (errors.JobDefinitionError, ExitCode.WRONG_INPUT, "job-definitions"),
        (errors.InvalidOptionError, ExitCode.WRONG_INPUT, "invalid-option"),
        (errors.PayloadError, ExitCode.WRONG_INPUT, "payload"),
        (errors.RemoteJobError, ExitCode.WRONG_INPUT, "remote-job"),
        (errors.UnknownQueueError, ExitCode.NOT_FOUND, "unknown-queue"),
        (errors.UnknownJobError, ExitCode.NOT_FOUND, "unknown-job"),
        (errors.JobNotFound, ExitCode.NOT_FOUND, "unknown-id"),
        (errors.ActionRefused, ExitCode.FAILED, "refused"),
        (errors.StoreUnavailable, ExitCode.NO_REDIS, "redis-unavailable"),
        (errors.DispatchInDoubt, ExitCode.NO_REDIS, "dispatch-in-doubt"),
        (errors.DispatchUnavailable, ExitCode.NO_REDIS, "no-engine"),
        (errors.ResultTimeout, ExitCode.TIME_IS_UP, "timeout"),
        (errors.JobFailed, ExitCode.FAILED, "job-failed"),
        (errors.ResultGone, ExitCode.FAILED, "result-gone"),
        (errors.BullqError, ExitCode.FAILED, "error"),
    ]
    for kind, code, name in known:
        if isinstance(error, kind):
            job_id = getattr(error, "job_id", None)
            return CommandError(str(error), code, name, {"id": job_id} if job_id else {})
    return None

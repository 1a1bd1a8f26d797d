"""Say why a job or a step failed: in words for its record, and by what its code has raised."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType

_OWN_FOLDER = str(Path(__file__).parents[1])
_MOST_NAMED = 3  # errors of a group, in its message
_UNREADABLE = "its message cannot be read: its __str__ raises"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give what has gone wrong: the error itself, or each one that a TaskGroup has gathered."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for one in error.exceptions:
        yield from causes(one)


def is_one_of(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Tell whether an error, or one that a TaskGroup has gathered in it, is of these kinds."""
    return any(isinstance(one, kinds) for one in causes(error))


def message_of(error: BaseException) -> str:
    """Give an error's message; of a group's errors the first ones are named, too."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - users' errors may fail to describe themselves
        return _UNREADABLE
    if isinstance(error, BaseExceptionGroup):
        named = (f"{type(one).__name__}: {message_of(one)}" for one in causes(error))
        message = f"{message}: {'; '.join(islice(named, _MOST_NAMED))}"
    return sendable(message)


def reason_of(error: BaseException) -> str:
    """Give BullMQ's failedReason: the error's message, with its name where needed.

    A KeyError's message is the bare key, and some errors have none.
    """
    name, message = type(error).__name__, message_of(error)
    if message is _UNREADABLE:
        return f"{name} (whose message cannot be read: its __str__ raises)"
    return f"{name}: {message}" if isinstance(error, KeyError) else message or name


def trace_of(error: BaseException) -> str:
    """Give the error's traceback from the first frame of the user's code on, all of it without."""
    try:
        frames = _users_frames(error.__traceback__)
        return sendable("".join(traceback.format_exception(type(error), error, frames)))
    except Exception:  # noqa: BLE001 - it reads users' attributes, and has failures of its own
        return f"{type(error).__name__}: {message_of(error)} (its traceback cannot be read)\n"


def sendable(text: str) -> str:
    """Escape what UTF-8 cannot hold: the halves of characters that odd file names leave in text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _users_frames(trace: TracebackType | None) -> TracebackType | None:
    users = trace
    while users is not None and not _is_users(users.tb_frame.f_code.co_filename):
        users = users.tb_next
    return users or trace


def _is_users(file: str) -> bool:
    return not file.startswith(_OWN_FOLDER) and "/asyncio/" not in file

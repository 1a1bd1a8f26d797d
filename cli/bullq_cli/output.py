"""The only module that prints: lines, tables, JSON and errors."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bullq_cli.exits import CommandError

_ERROR_LINES = 3
_WIDE = 72  # characters of a sentence that had better be two lines
_PIPE_WIDTH = 10_000  # columns: whoever reads a pipe wants no line broken


def line(text: str = "") -> None:
    """Print one line of a command's answer."""
    _write(sys.stdout, text)


def note(text: str) -> None:
    """Print one line beside the answer, where it does not disturb a pipe."""
    _write(sys.stderr, text)


def as_json(value: Any) -> None:
    """Print a command's whole answer as one line of JSON."""
    line(json.dumps(value, ensure_ascii=False, default=str))


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    numbers: int = 0,
    notes: tuple[str, Sequence[str]] | None = None,
) -> None:
    """Print a table; its last *numbers* columns are aligned to the right.

    *notes* are a name and a text for each row, too long for a column: on a terminal each goes
    on a line below its row. In a pipe, where lines have any length, it is the last column.
    """
    on_terminal = sys.stdout.isatty()
    if notes is not None and not on_terminal:
        columns = [*columns, notes[0]]
        rows = [[*row, note] for row, note in zip(rows, notes[1], strict=True)]
    head, *lines = _rendered(columns, rows, numbers, None if on_terminal else _PIPE_WIDTH)
    line(head)
    for position, text in enumerate(lines):
        line(text)
        if notes is not None and on_terminal and notes[1][position]:
            line(f"  {notes[1][position]}")


def _rendered(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: int, width: int | None
) -> list[str]:
    """Lay a table out, a line for each row."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 1 if width is None else 2, 0, 0))
    for position, name in enumerate(columns):
        is_number = position >= len(columns) - numbers
        justify: Literal["right", "left"] = "right" if is_number else "left"
        grid.add_column(Text(name, style="bold"), justify=justify, no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=width, highlight=False)
    with console.capture() as printed:
        console.print(grid)
    return [text.rstrip() for text in printed.get().splitlines()]


def error(problem: CommandError, *, to_json: bool = False) -> None:
    """Print an error to stderr: at most three lines, or one of JSON.

    A list of problems, which has its own line breaks, is printed whole.
    """
    if to_json:
        told = {"code": problem.code, "message": problem.message, **problem.details}
        note(json.dumps({"error": told}, ensure_ascii=False))
        return
    first, *rest = _lines(problem.message)
    note("\n".join([f"error: {first}", *(f"       {text}" for text in rest)]))


def unexpected(problem: BaseException, *, to_json: bool = False) -> None:
    """Print the traceback of an error that nobody foresaw, as it helps whoever mends it."""
    if to_json:
        told = {
            "code": "unexpected",
            "message": f"{type(problem).__name__}: {problem}",
            "traceback": traceback.format_exception(problem),
        }
        note(json.dumps({"error": told}, ensure_ascii=False))
        return
    note("".join(traceback.format_exception(problem)).rstrip())


def _write(stream: TextIO, text: str) -> None:
    """Write a line at once; that its reader has gone, having read enough, is no error."""
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        # What is left in the buffer, and all that follows, goes where nobody misses it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _lines(message: str) -> list[str]:
    """Put each sentence on a line of its own where that gives no more than three."""
    if "\n" in message:
        return message.splitlines()
    sentences = re.split(r"(?<=[.?!]) (?=[A-Z])", message)
    if len(sentences) == 1 and len(message) > _WIDE:
        sentences = re.split(r"(?<=;) ", message, maxsplit=_ERROR_LINES - 1)
    head, rest = sentences[: _ERROR_LINES - 1], sentences[_ERROR_LINES - 1 :]
    return [*head, *([" ".join(rest)] if rest else [])]

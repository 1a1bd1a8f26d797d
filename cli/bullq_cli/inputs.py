"""Read what people type: durations, sizes and payloads."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from bullq_cli.exits import wrong_input


def duration(option: str, text: str | None) -> float | None:
    """Give the seconds that *text* says; None for None."""
    if text is None:
        return None
    from bullq.clock import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise wrong_input(f"{option} cannot be read: {error}.") from None


def size(option: str, text: str | None) -> int | None:
    """Give the bytes that *text* says, such as 512MB or 2GB; None for None."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB)", text.strip(), re.IGNORECASE)
    if match is None or not float(match[1]):
        raise wrong_input(f"{option} {text!r} is no size; write it like 512MB or 2GB.")
    return int(float(match[1]) * 1024 ** (("B", "KB", "MB", "GB").index(match[2].upper())))


def payload(argument: str | None) -> str:
    """Give the JSON text that *argument* is, or names: @file, or - for standard input."""
    if argument is None:
        return "{}"
    text, source = _source(argument)
    if not text.strip():
        raise wrong_input(
            f"{source} is empty, and no JSON.\nFor a payload without fields send {{}}."
        )
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise wrong_input(_malformed(source, text, error)) from None
    return text


def _source(argument: str) -> tuple[str, str]:
    if argument == "-":
        return sys.stdin.read(), "Standard input"
    if not argument.startswith("@"):
        return argument, "The payload"
    file = Path(argument[1:])
    try:
        return file.read_text(encoding="utf-8"), str(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise wrong_input(f"The payload's file {file} cannot be read: {reason}.") from None


def _malformed(source: str, text: str, error: json.JSONDecodeError) -> str:
    """Show the line and point at the position."""
    where = f"line {error.lineno}, column {error.colno}"
    lines = text.splitlines() or [""]
    shown = lines[min(error.lineno, len(lines)) - 1]
    start = max(0, error.colno - 30)
    window = shown[start : start + 60]
    return (
        f"{source} is no JSON: {error.msg} ({where}).\n"
        f"  {window}\n"
        f"  {' ' * (error.colno - 1 - start)}^ here"
    )

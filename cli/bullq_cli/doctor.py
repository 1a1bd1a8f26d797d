"""`bullq doctor`: what is wrong, or soon will be, and what to do about it."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bullq.doctor import Diagnosis
    from bullq.telemetry.findings import Finding

_WIDTH = 80  # columns
_INDENT = 11  # columns, of which the level takes up most


def doctor(
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Examine the settings, Redis, this machine and the queues.

    Says in plain words what is wrong and what to do next, and changes nothing. Exits with 0 where
    nothing is wrong (warnings do not count), 1 where something is, 3 where there is no Redis.
    """
    import asyncio

    from bullq.doctor import diagnose
    from bullq.telemetry.findings import Level

    diagnosis = asyncio.run(diagnose())
    problems, warnings = diagnosis.count(Level.PROBLEM), diagnosis.count(Level.WARNING)
    if to_json:
        output.as_json(_told(diagnosis, problems, warnings))
    else:
        _print(diagnosis.findings)
        output.line(f"\n{_some(problems, 'problem')}, {_some(warnings, 'warning')}.")
    if not diagnosis.redis_is_there:
        raise typer.Exit(ExitCode.NO_REDIS)
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _told(diagnosis: Diagnosis, problems: int, warnings: int) -> dict[str, object]:
    return {
        "ok": not problems,
        "problems": problems,
        "warnings": warnings,
        "findings": [dataclasses.asdict(finding) for finding in diagnosis.findings],
    }


def _print(findings: Sequence[Finding]) -> None:
    subject = ""
    for finding in findings:
        if finding.subject != subject:
            output.line(("\n" if subject else "") + finding.subject)
            subject = finding.subject
        _wrapped(f"  {finding.level.value}", finding.message)
        if finding.advice is not None:
            _wrapped("", f"-> {finding.advice}")


def _wrapped(head: str, text: str) -> None:
    lines = textwrap.wrap(
        text, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False
    ) or [""]
    for position, line in enumerate(lines):
        output.line(f"{head if not position else '':<{_INDENT}}{line}")


def _some(number: int, what: str) -> str:
    from bullq.wording import counted

    return counted(number, what) if number else f"no {what}s"

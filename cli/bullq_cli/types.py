"""`bullq types`: write the types of all jobs for programs in TypeScript, or as JSON Schema."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode, wrong_input

if TYPE_CHECKING:
    from bullq.jobs.registry import JobRegistry


def types(
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write a file. Default: standard output."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit with 1 if --out FILE is out of date."),
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Write JSON Schema in place of TypeScript.")
    ] = False,
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Write every job's types for Node: TypeScript.

    They say what each job takes and gives, by its queue and its name. The same jobs give the
    same text. No Redis is needed.
    """
    from bullq.wording import counted

    if check and out is None:
        raise wrong_input("--check compares with a file.\nName it with --out FILE.")

    from bullq.loading import load_app

    jobs = load_app().jobs
    text = _text(jobs, schema=schema)
    answer: dict[str, Any] = {"queues": len(jobs.queues()), "jobs": len(jobs)}
    if out is None:
        if to_json:
            output.as_json({**answer, "text": text})
        else:
            output.line(text.rstrip("\n"))
        return
    before = _read(out)
    if check and before != text:
        raise _out_of_date(out, before, text)
    if before != text:  # an untouched file wakes no watcher
        _write(out, text)
    if to_json:
        output.as_json({"file": str(out), "changed": before != text, **answer})
        return
    done = "is up to date" if before == text else "is written"
    on = f"{counted(answer['jobs'], 'job')} on {counted(answer['queues'], 'queue')}"
    output.line(f"{out} {done}: {on}")


def _text(jobs: JobRegistry, *, schema: bool) -> str:
    from bullq.contract.schema import contract_schema
    from bullq.contract.typescript import to_typescript

    contract = contract_schema(jobs)
    if schema:
        return json.dumps(contract, indent=2, ensure_ascii=False) + "\n"
    return to_typescript(contract)


def _read(file: Path) -> str | None:
    """Give what is in the file; None where there is none."""
    try:
        # As the bytes are: what has other line ends is another file.
        return file.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise wrong_input(f"{file} cannot be read: {error.strerror}.") from None


def _write(file: Path, text: str) -> None:
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise wrong_input(f"{file} cannot be written: {error.strerror}.") from None


def _out_of_date(file: Path, before: str | None, text: str) -> CommandError:
    """Say what differs first, and what to type."""
    if before is None:
        reason = f"{file} is not there."
    else:
        changes = [
            line
            for line in difflib.unified_diff(before.splitlines(), text.splitlines(), n=0)
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
        ]
        first = f" The first: {changes[0]}" if changes else " Its line ends are other ones."
        reason = f"{file} is out of date: {len(changes)} lines are other ones.{first}"
    return CommandError(
        f"{reason}\nThe jobs' types have changed since it was written.\n"
        f"Write it anew: bullq types --out {file}",
        ExitCode.FAILED,
        "out-of-date",
        {"file": str(file)},
    )

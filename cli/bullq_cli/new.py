"""`bullq new`: make a project that runs at once."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.exits import wrong_input

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_PROJECT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_MARK = "{{name}}"
_RENAMED = {"gitignore": ".gitignore"}  # build tools would obey it under its real name


def new(
    *,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The folder of the project, new or empty.")
    ],
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Make a project that runs at once.

    It has two jobs, one of them recurring, a test, and a README that says what to type.
    """
    folder = Path(name)
    project = folder.absolute().name
    if not _PROJECT_NAME.fullmatch(project):
        raise wrong_input(
            f"{project!r} cannot be a project's name.\n"
            "It has letters, digits, '-', '_' and '.', and begins and ends with a letter or digit."
        )
    _check_empty(folder)
    template = resources.files("bullq_cli") / "templates" / "project"
    try:
        files = _write(template, folder, project)
    except OSError as error:
        raise wrong_input(
            f"The folder {folder} cannot be written: {error.strerror} ({error.filename})."
        ) from None
    following = [f"cd {folder}", "bullq dev"]
    if to_json:
        output.as_json({"folder": str(folder), "files": files, "next": following})
        return
    for file in files:
        output.line(f"  {folder / file}")
    output.line("Now type:")
    for command in following:
        output.line(f"  {command}")


def _check_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        what = "is not empty" if folder.is_dir() else "is a file"
        raise wrong_input(
            f"The folder {folder} cannot be made: it exists and {what}.\nTake another name."
        )


def _write(template: Traversable, folder: Path, project: str) -> list[str]:
    """Copy the template and give the files' paths in *folder*, sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    for entry in sorted(template.iterdir(), key=lambda entry: entry.name):
        target = folder / _RENAMED.get(entry.name, entry.name)
        if entry.is_dir() and entry.name != "__pycache__":
            written += [f"{entry.name}/{file}" for file in _write(entry, target, project)]
        elif entry.is_file():
            text = entry.read_text(encoding="utf-8").replace(_MARK, project)
            target.write_text(text, encoding="utf-8")
            written.append(target.name)
    return written

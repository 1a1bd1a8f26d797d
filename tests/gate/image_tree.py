"""Carry out the Dockerfile's own steps in a folder, and run programs there as the image's user.

What an engine adds is imitated with what a plain Linux has: another user without capabilities, a
tree that nobody may write to, only the image's environment, and a PID namespace of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.gate.dockerfile import ROOT, Stage, read_stages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gate.dockerfile import Instruction

STEP_TIMEOUT = 300.0  # seconds for one RUN: the longest installs every dependency
PROBE_TIMEOUT = 60.0  # seconds
PROBE = "import ensurepip, ssl, sys; print(sys.base_prefix, *sys.version_info[:3])"
IMAGE_PATH = re.compile(r"(?<![\w./])/(?=(?:opt|app|build)\b)")
UNWANTED = shutil.ignore_patterns("__pycache__", "node_modules", ".bullq")


def as_image_user() -> list[str]:
    """Return the words that make a command run as the image's user, stripped as by cap_drop.

    Nothing when the tests do not run as root: their user is as powerless as the image's.
    """
    if os.geteuid() != 0:
        return []
    uid, gid = read_stages()[-1].last("USER").value.split(":")
    identity = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    powers = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return [str(shutil.which("setpriv")), *identity, *powers]


def as_pid_one() -> list[str]:
    """Return the words that make a command process 1 of a PID namespace of its own."""
    root = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    return [str(shutil.which("unshare")), *root, "--pid", "--fork", "--kill-child", "--mount-proc"]


def probe(python: Path, prefix: list[str]) -> str | None:
    """Return what *python* says about itself when started behind *prefix*, None if it cannot."""
    found = subprocess.run(
        [*prefix, python, "-c", PROBE],
        check=False,
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT,
        cwd="/",
    )
    return found.stdout if found.returncode == 0 else None


def usable_python() -> Path | None:
    """Return a Python 3.11 or newer that the image's user can run as well, None if there is none.

    One below /root cannot be: its files are closed to others, and it may half start on those of
    another installation, so both answers must be the same.
    """
    for candidate in (Path(sys.executable).resolve(), Path("/usr/bin/python3")):
        if not candidate.exists():
            continue
        own = probe(candidate, [])
        if own is None or own != probe(candidate, as_image_user()):
            continue
        if tuple(map(int, own.split()[1:])) >= (3, 11):
            return candidate
    return None


class ImageTree:
    """The image's file tree below *root*, which the image's user must be able to enter."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self.python = python
        self.left_out: list[Instruction] = []
        self.workdir = root
        self.environment: dict[str, str] = {}

    def inside(self, text: str) -> str:
        """Return *text* with the image's absolute paths turned into those below the root."""
        return IMAGE_PATH.sub(f"{self.root}/", text)

    def build(self) -> None:
        """Carry out every stage and take away everybody's right to write."""
        tools = self.root / "tools"
        tools.mkdir()
        (tools / "python").write_text(f'#!/bin/sh\nexec {self.python} "$@"\n', encoding="utf-8")
        (tools / "python").chmod(0o755)
        for stage in read_stages():
            self._keep_only_what_is_copied(stage)
            self.workdir = self.root
            self.environment = {"PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin"}
            for instruction in stage.instructions:
                self._carry_out(instruction)
        for path in self._everything():
            path.chmod(path.stat().st_mode & ~0o222)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction.keyword:
            case "WORKDIR":
                self.workdir = Path(self.inside(instruction.value))
                self.workdir.mkdir(parents=True, exist_ok=True)
            case "ENV":
                for pair in instruction.words:
                    name, value = self.inside(pair).split("=", 1)
                    self.environment[name] = value.replace("$PATH", self.environment["PATH"])
            case "COPY" if "from" not in instruction.flags:
                self._copy(instruction)
            case "RUN":
                self._run(instruction)

    def _copy(self, instruction: Instruction) -> None:
        *sources, target = instruction.arguments
        place = self.workdir / self.inside(target)
        for source in map(ROOT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, place, ignore=UNWANTED, dirs_exist_ok=True)
                continue
            folder = place if target.endswith("/") else place.parent
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place / source.name if place.is_dir() else place)

    def _run(self, instruction: Instruction) -> None:
        if "useradd" in instruction.value:
            # It would add the user to this machine; its number is all that the tree needs.
            self.left_out.append(instruction)
            return
        outer = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
        done = subprocess.run(
            ["/bin/sh", "-c", self.inside(instruction.value)],
            check=False,
            cwd=self.workdir,
            env=outer | self.environment,
            capture_output=True,
            text=True,
            timeout=STEP_TIMEOUT,
        )
        if done.returncode != 0:
            raise RuntimeError(f"RUN {instruction.value}\n{done.stdout}\n{done.stderr}")

    def _keep_only_what_is_copied(self, stage: Stage) -> None:
        """Remove what earlier stages made and *stage* does not copy from them.

        Stages share one tree, because a virtual environment knows its own absolute path.
        """
        copies = [one for one in stage.all("COPY") if "from" in one.flags]
        kept = {Path(self.inside(one.arguments[0])) for one in copies}
        for path in [self.root / "build", *self.root.glob("opt/*")]:
            if path not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _everything(self) -> Iterator[Path]:
        yield self.root
        for path in self.root.rglob("*"):
            if not path.is_symlink():
                yield path

    def command(self, *words: str, pid_one: bool = False) -> list[str]:
        """Return the command line that runs *words* as the image would, optionally as PID 1."""
        return [*(as_pid_one() if pid_one else []), *as_image_user(), *words]

    def run(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run *words* to their end, at most *timeout* seconds, and return what they printed."""
        return subprocess.run(
            self.command(*words),
            check=False,
            cwd=self.workdir,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def remove(self) -> None:
        """Delete the tree, giving its owner back the right to."""
        for path in self._everything():
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(self.root)

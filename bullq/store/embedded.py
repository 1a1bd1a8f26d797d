"""Share one embedded server among the processes of a project: start it, find it, let it go.

A share is a shared lock on ``.bullq/in-use``, held on a file description of its own, so the kernel
gives it back when the process ends, also by SIGKILL. The server belongs to a warden process
(warden.py) that stops it when the last share is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bullq.errors import StoreUnavailable
from bullq.store import warden
from bullq.store.binary import ServerBinary, find_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ".bullq"
START = "start.lock"
_LOG_LINES = 8  # of a server that did not start, shown in the error
_LOG_LIMIT = 1_000_000  # bytes after which a start begins a new log and keeps one old one
_ANSWER_PATIENCE = 1.0  # seconds a server may take to prove that it is the recorded one
_PAUSE = 0.005  # seconds between looks at a lock: flock knows no deadline


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What is known about a running embedded server; *pid* is the server's own."""

    url: str
    pid: int
    binary: str
    version: str
    data_dir: Path


class EmbeddedServer:
    """A process' share in the embedded server; usable as a context manager.

    A forked child inherits the share and must release it, or end, on its own.
    """

    def __init__(self, info: ServerInfo, share: int) -> None:
        self.info = info
        self._share: int | None = share

    @property
    def url(self) -> str:
        """The server's address, for clients in any language."""
        return self.info.url

    def release(self) -> None:
        """Give the share back; the server stops after the last one. Repeating it does nothing."""
        share, self._share = self._share, None
        if share is not None:
            os.close(share)  # not LOCK_UN, which would take it from forked children, too

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def acquire_embedded(project: Path, *, deadline: float = 15.0) -> EmbeddedServer:
    """Return a share in the server of *project*, started if need be, within *deadline* seconds.

    Blocks until the server answers. Data is kept under ``<project>/.bullq/``. Raises
    StoreUnavailable, with a sentence that says what to do, when no server can run.
    """
    ends = time.monotonic() + deadline
    project = project.absolute()
    try:
        folder = _prepare_folder(project)
        share = _open_lock(folder / warden.IN_USE)
        try:
            # Waits while a warden is closing the data after the last share went.
            _lock(share, fcntl.LOCK_SH, ends, "the embedded server is still stopping", folder)
            info = _look(folder, ends) or _start_or_find(folder, ends)
        except BaseException:
            os.close(share)
            raise
    except OSError as error:
        raise StoreUnavailable(
            f"The embedded server cannot be set up in {project / FOLDER} "
            f"({error.strerror or error}). Make {project} an existing, writable folder, "
            f"or set REDIS_URL."
        ) from error
    return EmbeddedServer(info, share)


def running_embedded(project: Path) -> ServerInfo | None:
    """Return the running server of *project*, or None; never start one."""
    return _look(project / FOLDER, time.monotonic() + _ANSWER_PATIENCE)


def _look(folder: Path, ends: float) -> ServerInfo | None:
    """Return the server that *folder* records if it proves by *ends* to be the recorded one."""
    patience = min(_ANSWER_PATIENCE, max(ends - time.monotonic(), _PAUSE))
    try:
        record = json.loads((folder / warden.RECORD).read_text())
        fields = warden.ask(record["port"], patience=patience)
        # After a reboot or a crash, another program may have the port or the pid.
        if fields["run_id"] != record["run_id"]:
            return None
        return _describe(record)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _describe(record: dict[str, Any]) -> ServerInfo:
    return ServerInfo(
        url=record["url"],
        pid=record["pid"],
        binary=record["binary"],
        version=record["version"],
        data_dir=Path(record["data_dir"]),
    )


def _prepare_folder(project: Path) -> Path:
    """Create the project's folder for our files, invisible to git; raise OSError if impossible."""
    folder = project / FOLDER
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder


def _start_or_find(folder: Path, ends: float) -> ServerInfo:
    """Start the server, unless another process does so first; one at a time."""
    with _starting(folder, ends):
        while (info := _look(folder, ends)) is None:
            if not _held(folder / warden.ALIVE):
                return _start(folder, find_binary(), ends)
            # An earlier server still loads its data, or ends: both are only seen by looking.
            _pause(ends, "the server that runs there does not answer yet", folder)
        return info


@contextlib.contextmanager
def _starting(folder: Path, ends: float) -> Iterator[None]:
    """Hold the lock of whoever looks whether to start a server."""
    lock = _open_lock(folder / START)
    try:
        _lock(lock, fcntl.LOCK_EX, ends, "another process is still starting it", folder)
        yield
        fcntl.flock(lock, fcntl.LOCK_UN)  # closing does not do it if a thread has just forked
    finally:
        os.close(lock)


def _start(folder: Path, binary: ServerBinary, ends: float) -> ServerInfo:
    """Start a warden and return the server it reports."""
    log = folder / warden.LOG
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as log_file:
        log_start = log_file.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-I", "-S", warden.__file__, str(folder), str(binary.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            cwd=folder,
            start_new_session=True,  # Ctrl-C in the terminal is for us, not for the server
        )
    assert process.stdout is not None  # noqa: S101 - tells the type checker what PIPE means
    try:
        with process.stdout as report:
            line = _read_line(report.fileno(), ends, folder)
    finally:
        process.kill()  # only the launcher, if it still lives; it forks the warden and ends
        process.wait()
    if not line.endswith(b"\n"):
        raise StoreUnavailable(_failure(binary, log, log_start))
    return _describe(json.loads(line))


def _read_line(pipe: int, ends: float, folder: Path) -> bytes:
    """Return what the warden reports: a line, or less if it ended before."""
    received = b""
    while not received.endswith(b"\n"):
        readable, _, _ = select.select([pipe], [], [], max(0.0, ends - time.monotonic()))
        if not readable:
            raise StoreUnavailable(_too_late("it is still starting", folder))
        chunk = os.read(pipe, 65536)
        if not chunk:
            break
        received += chunk
    return received


def _failure(binary: ServerBinary, log: Path, log_start: int) -> str:
    """Return the sentence for a server that ended at start, with its last words."""
    with log.open("rb") as file:
        file.seek(log_start)
        lines = file.read().decode(errors="replace").splitlines()
    said = "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])
    return (
        f"The embedded server ({binary.path}, version {binary.version}) did not start. "
        f"Mend what its log names, move {log.parent / warden.DATA} away to start with no data, "
        f"or set REDIS_URL. The end of {log}:\n{said}"
    )


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _held(path: Path) -> bool:
    """Tell whether a process holds the exclusive lock *path*."""
    lock = _open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lock(lock: int, kind: int, ends: float, obstacle: str, folder: Path) -> None:
    """Take the lock before *ends*, or raise StoreUnavailable that names the *obstacle*."""
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            _pause(ends, obstacle, folder)
        else:
            return


def _pause(ends: float, obstacle: str, folder: Path) -> None:
    """Let a moment pass, or raise StoreUnavailable if *ends* has come."""
    left = ends - time.monotonic()
    if left <= 0:
        raise StoreUnavailable(_too_late(obstacle, folder))
    time.sleep(min(_PAUSE, left))


def _too_late(obstacle: str, folder: Path) -> str:
    return (
        f"The embedded server of {folder} is not ready in time: {obstacle}. "
        f"See {folder / warden.LOG}, try again with more time, or set REDIS_URL."
    )

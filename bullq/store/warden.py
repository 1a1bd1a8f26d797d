"""Keep one embedded server running for as long as any process of the project holds a share in it.

Runs as a process of its own, by file path, in a bare interpreter: ``python -I -S warden.py FOLDER
BINARY``. It therefore imports the standard library only, and little of that.

Three locks in FOLDER carry the protocol; the kernel drops each with its last holder, however that
one died:

``in-use``      every process with a share holds it shared; the warden waits for it exclusively
``alive.lock``  the warden and its server hold it, so that data never has two servers
``start.lock``  who looks whether to start a warden holds it (not used in this file)

Standard output gets the server's record as one line of JSON once it is ready, and is then closed;
it closes without a line when the server could not start. Standard error is the log.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

TYPE_CHECKING = False  # as type checkers know it; importing typing would cost the start 10 ms
if TYPE_CHECKING:
    from collections.abc import Callable

IN_USE = "in-use"
ALIVE = "alive.lock"
RECORD = "server.json"
LOG = "server.log"
DATA = "data"
PORT = "port"
HOST = "127.0.0.1"

STOP_PATIENCE = 10.0  # seconds an orderly stop may take before the server is killed
PORT_ATTEMPTS = 5  # free ports tried when others take them between our look and the bind
_QUESTION = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
_MILLISECONDS = (2, 2, 2, 5, 5, 10, 10, 20)  # pauses between looks at a starting server
_PR_SET_PDEATHSIG = 1


class ServerFailedError(Exception):
    """The server did not start, or nobody waits for it any more."""


def ask(port: int, *, patience: float) -> dict[str, str]:
    """Return the ``INFO server`` fields of the server on *port* if it is ready for commands.

    Waits at most *patience* seconds for each reply. Raises OSError when there is no server or it
    is still loading.
    """
    with (
        socket.create_connection((HOST, port), timeout=patience) as connection,
        connection.makefile("rb") as reply,
    ):
        connection.sendall(_QUESTION)
        pong = reply.readline(256)
        header = reply.readline(256)
        if pong != b"+PONG\r\n" or header[:1] != b"$" or not header[1:].strip().isdigit():
            raise ConnectionError(f"port {port} answered {pong!r}, {header!r}")
        text = reply.read(int(header[1:])).decode(errors="replace")
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


class Warden:
    """The server of *folder*, run with *binary*, and its orderly end."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.folder = folder
        self.binary = binary
        self.run_id = ""
        self.in_use = os.open(folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o600)
        self.alive = os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
        self.stopped = threading.Event()

    def run(self) -> None:
        """Start the server, publish it, and return after it has stopped.

        Call it in the main thread: the kernel stops the server when the thread that started it
        ends.
        """
        fcntl.flock(self.alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        server, record = self.start()
        signal.signal(signal.SIGTERM, lambda *_: self.ask_to_stop(server))
        self.publish(record)
        threading.Thread(target=self.stop_when_unused, args=(server,), daemon=True).start()
        status = server.wait()
        self.stopped.set()
        self.unpublish()
        if status:
            log(f"the server ended with status {status}")

    def start(self) -> tuple[subprocess.Popen[bytes], dict[str, object]]:
        """Return a server that answers, and its record; raise ServerFailedError without one."""
        (self.folder / DATA).mkdir(mode=0o700, exist_ok=True)
        for port in self.ports():
            log_start = (self.folder / LOG).stat().st_size
            server = self.spawn(port)
            fields = self.wait_ready(server, port)
            if fields is not None:
                return server, self.describe(server, port, fields)
            if f":{port}: bind:" not in self.log_since(log_start):
                raise ServerFailedError(f"the server ended with status {server.returncode}")
        raise ServerFailedError(f"{PORT_ATTEMPTS} free ports were taken before the server had them")

    def ports(self) -> list[int]:
        """Return ports to try: the last one first, so that open clients find a new server."""
        ports = []
        with contextlib.suppress(OSError, ValueError, OverflowError):
            ports.append(bindable(int((self.folder / PORT).read_text())))
        return ports + [bindable(0) for _ in range(PORT_ATTEMPTS)]

    def spawn(self, port: int) -> subprocess.Popen[bytes]:
        """Start the server on *port* with its output in the log."""
        options = {
            "bind": HOST,
            "port": str(port),
            "protected-mode": "yes",
            "dir": str(self.folder / DATA),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": "",  # the append-only file holds everything
            "maxmemory-policy": "noeviction",  # an evicted key is a lost job
            "daemonize": "no",
            "logfile": "",
        }
        arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
        with (self.folder / LOG).open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - a server found by bullq, with fixed options
                [self.binary, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self.alive,),
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - no thread is running yet
            )

    def wait_ready(self, server: subprocess.Popen[bytes], port: int) -> dict[str, str] | None:
        """Return the ready server's fields, or None if it ended first.

        Loading may take long; it is the starter who sets a deadline, by giving up its share.
        """
        look = 0
        while server.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                fields = ask(port, patience=1.0)
                # Another server may have taken the port: only our child's answer counts.
                if fields.get("process_id") == str(server.pid):
                    return fields
            if self.unused():
                self.stop(server)
                raise ServerFailedError("nobody waits for the server any more")
            time.sleep(_MILLISECONDS[min(look, len(_MILLISECONDS) - 1)] / 1000)
            look += 1
        return None

    def describe(
        self, server: subprocess.Popen[bytes], port: int, fields: dict[str, str]
    ) -> dict[str, object]:
        """Return the server's record; its run id is new at every start, so a stale record shows."""
        self.run_id = fields["run_id"]
        return {
            "url": f"redis://{HOST}:{port}",
            "port": port,
            "pid": server.pid,
            "run_id": self.run_id,
            "binary": self.binary,
            "version": fields.get("valkey_version") or fields["redis_version"],
            "data_dir": str(self.folder / DATA),
            "warden_pid": os.getpid(),
        }

    def publish(self, record: dict[str, object]) -> None:
        """Write the record for other processes, then hand it to the one that waits for us."""
        text = json.dumps(record)
        draft = self.folder / f"{RECORD}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(self.folder / RECORD)
        (self.folder / PORT).write_text(f"{record['port']}\n")
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

    def unpublish(self) -> None:
        """Remove the record unless it is another server's (the folder may have been replaced)."""
        with contextlib.suppress(OSError, ValueError):
            path = self.folder / RECORD
            if json.loads(path.read_text())["run_id"] == self.run_id:
                path.unlink()

    def stop_when_unused(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until no process holds a share, then stop the server.

        The lock is kept until the warden is gone, so whoever wants a share now waits until the
        data is closed.
        """
        fcntl.flock(self.in_use, fcntl.LOCK_EX)
        self.ask_to_stop(server)
        if not self.stopped.wait(STOP_PATIENCE):
            log(f"the server did not stop in {STOP_PATIENCE:g} s and is killed")
            server.kill()

    def ask_to_stop(self, server: subprocess.Popen[bytes]) -> None:
        """Hide the server from others and ask it to close its data and end."""
        self.unpublish()
        server.terminate()

    def stop(self, server: subprocess.Popen[bytes]) -> None:
        """Stop a server that is not published, and return after it has ended."""
        server.terminate()
        try:
            server.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(STOP_PATIENCE)

    def unused(self) -> bool:
        """Tell whether no process holds a share; if so, nobody can get one from now on."""
        try:
            fcntl.flock(self.in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def log_since(self, start: int) -> str:
        """Return what the log got after *start* bytes."""
        with (self.folder / LOG).open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")


def bindable(port: int) -> int:
    """Return *port*, or a free one for 0; raise OSError if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        probe.bind((HOST, port))
        free: int = probe.getsockname()[1]
        return free


def die_with_parent() -> Callable[[], object] | None:
    """Return what the server's process calls before it runs: end in order if the warden dies.

    Linux only. Elsewhere a server whose warden was killed runs on, and the next process of the
    project uses it.
    """
    if sys.platform != "linux":
        return None
    try:
        import ctypes  # noqa: PLC0415 - only Linux has the call

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def log(sentence: str) -> None:
    """Append *sentence* to the log that the server writes, too."""
    print(f"bullq: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is the log


def main(folder: str, binary: str) -> None:
    """Run a warden detached from its starter, which therefore has no child to reap."""
    if os.fork():
        os._exit(0)
    try:
        Warden(Path(folder), binary).run()
    except ServerFailedError as error:
        log(str(error))
    except BlockingIOError:
        log("another server uses this folder")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

"""Real servers for tests: each on a free port, stopped by whoever started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import redis

from bullq.store.binary import find_binary
from tests.support.deadline import DEADLINE


@dataclass
class RedisServer:
    """One server process of ours, which a test may kill, pause and start again."""

    binary: str
    folder: Path
    port: int
    arguments: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                self.binary,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                *("--save", "", "--maxmemory-policy", "noeviction"),
                *("--enable-debug-command", "yes"),
                *self.arguments,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        end = time.monotonic() + DEADLINE
        while True:
            try:
                with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                    client.ping()
                    return
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                assert time.monotonic() < end, f"{self.binary} did not start"
                time.sleep(0.02)  # a foreign process gives no event to wait for

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(DEADLINE)
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_server(
    folder: Path, *arguments: str, binary: str | None = None
) -> Iterator[RedisServer]:
    """Run a Valkey (or *binary*) for as long as the context lasts."""
    server = RedisServer(binary or str(find_binary().path), folder, free_port(), list(arguments))
    server.start()
    try:
        yield server
    finally:
        server.kill()


def debian_redis() -> str | None:
    """Give the path of Debian's redis-server (7.0), or None."""
    return shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/bin")

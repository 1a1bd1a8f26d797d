"""The Redis of the benchmarks: a server of their own, emptied before every run."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis

from bullq.store.binary import find_binary

_START_DEADLINE = 10.0  # seconds
_STOP_DEADLINE = 10.0  # seconds


@dataclass(frozen=True)
class Spent:
    """What the server had used at one moment: µs in scripts, and CPU seconds of its main thread."""

    scripts_us: int
    cpu: float


class Server:
    """A running Redis that nobody else uses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = redis.Redis.from_url(url, decode_responses=True)
        info = self._client.info("server")
        kind = "Valkey" if "valkey_version" in info else "Redis"
        self.version = f"{kind} {info.get('valkey_version', info['redis_version'])}"

    def empty(self) -> None:
        """Remove everything; scripts stay loaded."""
        self._client.flushall()

    def spent(self) -> Spent:
        """Read what the server has used so far."""
        commands = self._client.info("commandstats")
        scripts = sum(
            stats["usec"]
            for name, stats in commands.items()
            if name.removeprefix("cmdstat_").startswith(("eval", "fcall"))
        )
        cpu = self._client.info("cpu")
        used = cpu.get("used_cpu_user_main_thread", cpu["used_cpu_user"])
        system = cpu.get("used_cpu_sys_main_thread", cpu["used_cpu_sys"])
        return Spent(int(scripts), float(used) + float(system))


@contextlib.contextmanager
def running(binary: str | None) -> Iterator[Server]:
    """Run *binary* (None: redis-server on PATH, else bullq's own Valkey), with nothing on disk."""
    program = binary or shutil.which("redis-server") or str(find_binary().path)
    with tempfile.TemporaryDirectory(prefix="bullq-bench-") as folder:
        port = _free_port()
        process = subprocess.Popen(
            [
                program,
                *("--port", str(port), "--bind", "127.0.0.1", "--dir", folder),
                *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            ],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            url = f"redis://127.0.0.1:{port}"
            _wait(url, process)
            yield Server(url)
        finally:
            process.terminate()
            process.wait(_STOP_DEADLINE)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + _START_DEADLINE
    while True:
        try:
            with redis.Redis.from_url(url, socket_timeout=1) as client:
                client.ping()
                return
        except redis.RedisError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"The server of the benchmarks did not start: {error}") from None
            time.sleep(0.02)  # a foreign process gives no event to wait for


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

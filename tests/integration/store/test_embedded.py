from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from bullq.errors import StoreUnavailable
from bullq.store import binary, embedded, warden
from bullq.store.embedded import acquire_embedded, running_embedded
from tests.support.deadline import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]

# A process that waits for a line, acquires a share, tells the server's pid and waits for the end.
HOLDER = """
import sys
from pathlib import Path
from bullq.store.embedded import acquire_embedded
sys.stdin.readline()
server = acquire_embedded(Path(sys.argv[1]))
print(server.info.pid, flush=True)
sys.stdin.read()
"""
# The same, but the share lives on in a forked child only.
FORKING_HOLDER = """
import os, sys
from pathlib import Path
from bullq.store.embedded import acquire_embedded
sys.stdin.readline()
server = acquire_embedded(Path(sys.argv[1]))
if os.fork():
    server.release()
    os._exit(0)
print(server.info.pid, flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that holds a share in the server of *project*."""

    def __init__(self, project: Path, program: str = HOLDER) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(project)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def server_pid(self) -> int:
        assert self.process.stdout
        readable, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
        assert readable, "the holder got no share in time"
        return int(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project folder whose server, if a failing test leaves one, is stopped at the end."""
    folder = tmp_path / 'a "project" with spaces'
    folder.mkdir()
    yield folder
    with contextlib.suppress(OSError, ValueError, KeyError):
        if (info := running_embedded(folder)) is not None:
            watch = os.pidfd_open(info.pid)
            if not select.select([watch], [], [], DEADLINE)[0]:
                os.kill(warden_of(folder), signal.SIGTERM)
            os.close(watch)


@pytest.fixture
def holders(project: Path) -> Iterator[list[Holder]]:
    started = [Holder(project) for _ in range(3)]
    yield started
    for holder in started:
        holder.close()


@contextlib.contextmanager
def expect_end_of(pid: int) -> Iterator[None]:
    """Assert that process *pid* ends after the block has run, before the test's patience does."""
    watch = os.pidfd_open(pid)
    try:
        yield
        assert select.select([watch], [], [], DEADLINE)[0], f"process {pid} still runs"
    finally:
        os.close(watch)


def stays(pid: int) -> bool:
    """Tell whether *pid* still runs after thirty times what a stop takes."""
    watch = os.pidfd_open(pid)
    try:
        return not select.select([watch], [], [], 0.3)[0]
    finally:
        os.close(watch)


def record_of(project: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((project / ".bullq" / "server.json").read_text())
    return record


def warden_of(project: Path) -> int:
    return int(str(record_of(project)["warden_pid"]))


def test_a_fresh_project_gets_a_durable_local_server(project: Path) -> None:
    with acquire_embedded(project) as server, Redis.from_url(server.url) as client:
        assert client.ping()
        settings = {"appendonly": "yes", "maxmemory-policy": "noeviction", "bind": "127.0.0.1"}
        for name, value in settings.items():
            assert client.config_get(name)[name] == value
        assert client.info("server")["process_id"] == server.info.pid
        assert server.info.data_dir == project / ".bullq" / "data"
        assert (project / ".bullq" / ".gitignore").read_text() == "*\n"
        assert (project / ".bullq" / "server.json").stat().st_mode & 0o777 == 0o600
        assert running_embedded(project) == server.info


def test_the_server_is_out_of_the_terminals_reach(project: Path) -> None:
    with acquire_embedded(project) as server:
        assert os.getsid(server.info.pid) != os.getsid(0)


def test_looking_starts_nothing(project: Path) -> None:
    assert running_embedded(project) is None
    assert list(project.iterdir()) == []


def test_processes_that_start_at_once_share_one_server(holders: list[Holder]) -> None:
    for holder in holders:
        holder.go()
    pids = {holder.server_pid() for holder in holders}
    assert len(pids) == 1
    with expect_end_of(pids.pop()):
        for holder in holders:
            holder.end()


def test_it_stops_with_the_last_process(project: Path, holders: list[Holder]) -> None:
    first, last, _ = holders
    first.go()
    pid = first.server_pid()
    last.go()
    assert last.server_pid() == pid
    first.end()
    info = running_embedded(project)
    assert info is not None
    assert info.pid == pid
    with expect_end_of(pid):
        last.end()
    assert running_embedded(project) is None
    assert not (project / ".bullq" / "server.json").exists()


def test_it_stops_when_the_last_process_is_killed(holders: list[Holder]) -> None:
    for holder in holders[:2]:
        holder.go()
    pid = holders[0].server_pid()
    assert holders[1].server_pid() == pid
    holders[0].end()
    assert stays(pid)
    with expect_end_of(pid):
        holders[1].process.kill()


def test_a_forked_child_keeps_the_share(project: Path) -> None:
    holder = Holder(project, FORKING_HOLDER)
    try:
        holder.go()
        pid = holder.server_pid()
        holder.process.wait(DEADLINE)
        assert stays(pid)
        with expect_end_of(pid):
            holder.end()  # closes the pipe that the child reads
    finally:
        holder.close()


def test_release_may_be_repeated(project: Path) -> None:
    server = acquire_embedded(project)
    with acquire_embedded(project) as other:
        assert other.info == server.info
        server.release()
        server.release()
        assert stays(other.info.pid)
        with expect_end_of(other.info.pid):
            other.release()


def test_data_and_port_survive_a_stop(project: Path) -> None:
    with acquire_embedded(project) as server, Redis.from_url(server.url) as client:
        first = server.info
        client.set("order", "7")
        with expect_end_of(first.pid):
            server.release()
    with acquire_embedded(project) as server, Redis.from_url(server.url) as client:
        assert server.info.pid != first.pid
        assert client.get("order") == b"7"
        assert server.url == first.url


def test_whoever_comes_while_it_stops_gets_a_server(project: Path) -> None:
    for turn in range(1, 6):
        with acquire_embedded(project) as server, Redis.from_url(server.url) as client:
            assert client.incr("turns") == turn


def test_a_server_still_stopping_is_waited_for_until_the_deadline(project: Path) -> None:
    with acquire_embedded(project):
        pass
    closing = embedded._open_lock(project / ".bullq" / warden.IN_USE)
    try:
        embedded._lock(closing, fcntl.LOCK_EX, time.monotonic() + DEADLINE, "", project)
        with pytest.raises(StoreUnavailable, match=r"still stopping.*set REDIS_URL"):
            acquire_embedded(project, deadline=0.05)
    finally:
        os.close(closing)


def test_a_record_of_a_machine_before_its_reboot_is_ignored(project: Path, tmp_path: Path) -> None:
    other_project = tmp_path / "other"
    other_project.mkdir()
    with acquire_embedded(other_project) as other:
        with acquire_embedded(project) as server, expect_end_of(server.info.pid):
            server.release()
        stale = record_of(other_project) | {"run_id": "0" * 40}  # its port and pid are alive
        (project / ".bullq" / "server.json").write_text(json.dumps(stale))
        assert running_embedded(project) is None
        with acquire_embedded(project) as server:
            assert server.info.pid != other.info.pid
            assert server.url != other.url
        with expect_end_of(other.info.pid):
            other.release()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"port": "x"}', '{"port": 1, "run_id": "a"}'])
def test_a_damaged_record_is_no_server(project: Path, text: str) -> None:
    (project / ".bullq").mkdir()
    (project / ".bullq" / "server.json").write_text(text)
    assert running_embedded(project) is None


def test_a_taken_port_is_replaced(project: Path) -> None:
    with acquire_embedded(project) as server:
        first = server.info
        with expect_end_of(first.pid):
            server.release()
    port = int(first.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), acquire_embedded(project) as server:
        assert server.url != first.url


def test_a_port_that_another_server_took_at_the_last_moment_is_replaced(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / warden.LOG).touch()
    keeper = warden.Warden(tmp_path, str(binary.find_binary().path))
    share = embedded._open_lock(tmp_path / warden.IN_USE)
    fcntl.flock(share, fcntl.LOCK_SH)
    with acquire_embedded(project) as other:
        taken = record_of(project)["port"]
        free = warden.bindable(0)
        monkeypatch.setattr(keeper, "ports", lambda: [taken, free])
        server, record = keeper.start()
    assert record["port"] == free
    assert record["pid"] == server.pid != other.info.pid
    keeper.stop(server)
    for lock in (share, keeper.in_use, keeper.alive):
        os.close(lock)


def test_a_killed_server_is_replaced_where_its_clients_look(project: Path) -> None:
    with acquire_embedded(project) as orphaned, Redis.from_url(orphaned.url) as client:
        client.set("order", "7")
        with expect_end_of(warden_of(project)):
            os.kill(orphaned.info.pid, signal.SIGKILL)
        assert not (project / ".bullq" / "server.json").exists()
        with acquire_embedded(project) as server:
            assert server.info.pid != orphaned.info.pid
            assert server.url == orphaned.url
            assert client.get("order") == b"7"


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
def test_a_killed_warden_takes_its_server_along(project: Path) -> None:
    with acquire_embedded(project) as orphaned:
        with expect_end_of(orphaned.info.pid):
            os.kill(warden_of(project), signal.SIGKILL)
        with acquire_embedded(project) as server:
            assert server.info.pid != orphaned.info.pid


def test_a_starter_that_gives_up_leaves_no_server(project: Path) -> None:
    with pytest.raises(StoreUnavailable, match="not ready in time"):
        acquire_embedded(project, deadline=0.0)
    with acquire_embedded(project) as server, expect_end_of(server.info.pid):
        server.release()


def write_ahead_log(project: Path) -> Path:
    """Return the append-only file of a stopped server that has stored 100 keys."""
    with acquire_embedded(project) as server, Redis.from_url(server.url) as client:
        client.mset({f"key{number}": "x" * 50 for number in range(99)})
        client.set("last", "y" * 50)
        with expect_end_of(server.info.pid):
            server.release()
    (log,) = (project / ".bullq" / "data").rglob("*.incr.aof")
    return log


def test_a_tail_cut_off_by_a_crash_does_not_stop_the_start(project: Path) -> None:
    log = write_ahead_log(project)
    os.truncate(log, log.stat().st_size - 10)
    with acquire_embedded(project) as server, Redis.from_url(server.url) as client:
        assert client.get("key98") == b"x" * 50
        assert client.get("last") is None


def test_a_server_that_does_not_start_says_why(project: Path) -> None:
    write_ahead_log(project).write_bytes(b"no append-only file\n" * 10)
    with pytest.raises(StoreUnavailable) as caught:
        acquire_embedded(project)
    message = str(caught.value)
    assert "did not start" in message
    assert "Bad file format reading the append only file" in message
    assert str(project / ".bullq" / "data") in message
    assert "REDIS_URL" in message


def test_a_project_that_is_missing_or_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / ".bullq").write_text("")
    for name in ("missing", "file", "taken"):
        with pytest.raises(StoreUnavailable) as caught:
            acquire_embedded(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "REDIS_URL" in str(caught.value)


def test_a_read_only_project_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(30, "Read-only file system", str(path))  # root may write anywhere else

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreUnavailable, match="Read-only file system") as caught:
        acquire_embedded(project)
    assert str(project) in str(caught.value)

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest
from bullq_cli.exits import CommandError
from bullq_cli.metrics import Endpoint, endpoint

from tests.cli.conftest import Send
from tests.support.commands import Project
from tests.support.deadline import DEADLINE


def free_port(neighbours: int = 0) -> int:
    """Give a port that nobody listens on, nor on so many after it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
            try:
                for number in range(1, neighbours + 1):
                    socket.create_server(("127.0.0.1", port + number)).close()
            except (OSError, OverflowError):
                continue
            return port


def read(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as answer:
        text: str = answer.read().decode()
    return text.splitlines()


def test_a_worker_serves_what_it_counts(project: Project, send: Send) -> None:
    port = free_port()
    with project.running("worker", "-q", "default", "--metrics", str(port)) as worker:
        worker.wait_for("worker started")
        send("hello")
        worker.wait_for("completed default/hello")
        lines = read(port)
    counted = 'bullq_attempts_total{name="hello",outcome="completed",queue="default"} 1.0'
    assert counted in lines
    assert 'bullq_redis_up{queue="default"} 1.0' in lines


def ready(port: int) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=DEADLINE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_worker_tells_whether_it_is_ready(project: Project) -> None:
    port = free_port()
    with project.running("worker", "-q", "default", "--metrics", str(port)) as worker:
        worker.wait_for("worker started")
        assert ready(port) == (200, {"ready": True, "reason": "", "canaries": {}})


def test_each_process_has_a_port_of_its_own(project: Project) -> None:
    port = free_port(neighbours=1)
    words = ["worker", "-q", "default", "--processes", "2", "--metrics", str(port)]
    with project.running(*words) as workers:
        workers.wait_for("worker started")
        workers.wait_for("worker started")
        for one in (port, port + 1):
            assert 'bullq_redis_up{queue="default"} 1.0' in read(one)
        workers.process.terminate()
        assert workers.wait() == 0


def test_a_port_that_is_taken_is_told(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = project.run("worker", "-q", "default", "--metrics", f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert f"error: Metrics cannot be served at 127.0.0.1:{port}: Address already" in done.stderr


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("9400", "127.0.0.1", 9400),
        ("0.0.0.0:9400", "0.0.0.0", 9400),
        ("[::1]:9400", "::1", 9400),
        (":9400", "127.0.0.1", 9400),
    ],
)
def test_an_endpoint_is_a_port_and_perhaps_a_host(text: str, host: str, port: int) -> None:
    assert endpoint("--metrics", text) == Endpoint(host, port)
    assert endpoint("--metrics", None) is None


def test_an_endpoint_is_written_as_it_is_read() -> None:
    for text in ("127.0.0.1:9400", "[::1]:9400"):
        assert str(endpoint("--metrics", text)) == text
    assert str(Endpoint("::1", 9400).of_process(3)) == "[::1]:9402"


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "65535", "9400:", "-1"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is no port"):
        endpoint("--metrics", text, processes=2)

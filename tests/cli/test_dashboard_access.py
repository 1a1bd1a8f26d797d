"""Who may see the board and who may change anything in it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
import redis

from tests.cli.board_client import RunningBoard, running_board
from tests.cli.conftest import SERVICES
from tests.support.commands import Project
from tests.support.no_silent_skips import BOARD, need
from tests.support.servers import RedisServer

PREFIX = f"t{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def shop(valkey: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with one job: the standard queues are there all the same."""
    need(BOARD)
    settings = {"REDIS_URL": valkey.url, "BULLQ_PREFIX": PREFIX}
    project = Project(tmp_path_factory.mktemp("shop"), settings)
    path = "jobs/default/hello_service.py"
    project.write(path, SERVICES[path])
    return project


@pytest.fixture(scope="module")
def board(shop: Project) -> Iterator[RunningBoard]:
    """Run a board that this machine alone reaches."""
    with running_board(shop) as board:
        yield board


@pytest.fixture(scope="module")
def guarded(shop: Project) -> Iterator[RunningBoard]:
    """Run a board that other machines reach, and that nobody may change anything in."""
    with running_board(shop, "--host", "0.0.0.0", "--read-only") as board:
        yield board


def log_in(board: RunningBoard, token: str) -> str:
    """Open the board with its token, as a person does, and give the cookie this sets."""
    opened = board.ask(f"/queue/default?status=failed&token={token}")
    assert (opened.status, opened.headers["Location"]) == (302, "/queue/default?status=failed")
    cookie, *attributes = opened.headers["Set-Cookie"].split("; ")
    assert token not in cookie
    assert {"HttpOnly", "SameSite=Lax"} <= set(attributes)
    return cookie


def test_it_has_every_queue(board: RunningBoard) -> None:
    page = board.ask()
    assert page.status == 200
    assert "googleapis" not in page.body
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    queues = json.loads(board.ask("/api/queues").body)["queues"]
    assert [queue["name"] for queue in queues] == ["default", "data-sync", "scheduled"]
    assert {queue["description"] for queue in queues} == {f"prefix {PREFIX}"}


def test_looking_writes_nothing(board: RunningBoard, valkey: RedisServer) -> None:
    for path in ("", "/default/workers", "/default/metrics", "/default/rate-limit"):
        assert board.ask(f"/api/queues{path}").status == 200
    with redis.Redis.from_url(valkey.url) as client:
        assert list(client.scan_iter(f"{PREFIX}:*")) == []


def test_it_answers_to_the_names_of_this_machine_alone(board: RunningBoard) -> None:
    assert board.ask("/api/queues", host=f"localhost:{board.port}").status == 200
    rebound = board.ask("/api/queues", host=f"evil.example:{board.port}")
    assert (rebound.status, "data-sync" in rebound.body) == (403, False)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
def test_no_other_page_changes_anything(board: RunningBoard, origin: str) -> None:
    pause = ("/api/queues/default/pause", "PUT")
    assert board.ask(*pause, origin=origin).status == 403
    assert not paused(board)


def test_its_own_pages_and_programs_change_things(board: RunningBoard) -> None:
    own = f"http://127.0.0.1:{board.port}"
    assert board.ask("/api/queues/default/pause", "PUT", origin=own).status == 200
    assert paused(board)
    assert board.ask("/api/queues/default/resume", "PUT").status == 200
    assert not paused(board)


def paused(board: RunningBoard) -> bool:
    queues = json.loads(board.ask("/api/queues").body)["queues"]
    return bool(queues[0]["isPaused"])


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=guessed", "/static/favicon.ico"])
def test_without_the_token_there_is_a_question_and_nothing_else(
    guarded: RunningBoard, path: str
) -> None:
    asked = guarded.ask(path)
    assert asked.status == 401
    assert '<input type="password" name="token"' in asked.body
    assert "Set-Cookie" not in asked.headers


@pytest.mark.parametrize("cookie", ["bullq-dashboard-00000000=x", "a=b; =; c", "{}={}"])
def test_the_api_takes_no_forged_cookie(guarded: RunningBoard, cookie: str) -> None:
    name = log_in(guarded, guarded.token).partition("=")[0]
    forged = guarded.ask("/api/queues", cookie=cookie.format(name, guarded.token))
    assert (forged.status, "default" in forged.body) == (401, False)
    assert guarded.ask("/api/queues", authorization="Bearer guessed").status == 401


def test_the_token_is_shown_once_and_a_cookie_then_does(guarded: RunningBoard) -> None:
    assert len(guarded.token) >= 32
    cookie = log_in(guarded, guarded.token)
    assert guarded.ask(cookie=f"theme=dark; {cookie}").status == 200
    assert guarded.ask("/api/queues", cookie=cookie).status == 200
    assert guarded.ask("/api/queues", authorization=f"Bearer {guarded.token}").status == 200
    # The name that other machines use is not known in advance, and need not be.
    assert guarded.ask("/api/queues", cookie=cookie, host="board.example").status == 200


def test_the_way_in_leads_to_no_other_host(guarded: RunningBoard) -> None:
    opened = guarded.ask(f"//evil.example/?token={guarded.token}")
    assert (opened.status, opened.headers["Location"]) == (302, "/evil.example/")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "default/pause"),
        ("PUT", "pause"),
        ("POST", "default/add"),
        ("PUT", "default/obliterate"),
        ("PATCH", "default/1/update-data"),
    ],
)
def test_read_only_changes_nothing(guarded: RunningBoard, method: str, path: str) -> None:
    bearer = f"Bearer {guarded.token}"
    assert guarded.ask(f"/api/queues/{path}", method, authorization=bearer).status == 405
    queues = json.loads(guarded.ask("/api/queues", authorization=bearer).body)["queues"]
    assert all(queue["readOnlyMode"] for queue in queues)


def test_the_health_check_needs_no_token_and_tells_nothing(guarded: RunningBoard) -> None:
    assert (guarded.ask("/health").status, guarded.ask("/health").body) == (200, '{"redis":true}')


def test_a_given_token_is_not_told(shop: Project) -> None:
    secret = "a-token-that-is-long-enough"
    with running_board(shop, BULLQ_DASHBOARD_TOKEN=secret) as board:
        assert board.ask().status == 401
        log_in(board, secret)
        assert secret not in board.process.output
    refused = shop.run("dashboard", BULLQ_DASHBOARD_TOKEN="short")
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: BULLQ_DASHBOARD_TOKEN='***' is not possible: "
        "it should have 16 characters or more\n",
    )

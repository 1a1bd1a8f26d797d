"""Every wrong input has a message of its own and the documented exit code, and no traceback."""

from __future__ import annotations

import json
import socketserver
import threading
from pathlib import Path

import pytest

from tests.support.commands import Project
from tests.support.servers import free_port, running_server


class WebServer(socketserver.BaseRequestHandler):
    """Answers as a web server does, whatever it is asked."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


WORK = ("worker", "--queue", "default", "--burst")


def told(project: Project, *words: str, code: int, **environment: str) -> str:
    """Run a command that must fail with *code*; give its message."""
    done = project.run(*words, **environment)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def told_short(project: Project, *words: str, code: int, **environment: str) -> str:
    message = told(project, *words, code=code, **environment)
    first, *rest = [line for line in message.splitlines() if not line[:1].isdigit()]
    assert first.startswith("error: ")
    assert all(line.startswith(" " * 7) for line in rest)
    assert len(rest) <= 2
    return message


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:6379", "REDIS_URL='localhost:6379' is no address of a Redis; it begins with"),
        ("redis://127.0.0.1/zero", "its path is the number of a database, not 'zero'"),
    ],
)
def test_a_bad_redis_url(project: Project, url: str, sentence: str) -> None:
    message = told_short(project, *WORK, code=2, REDIS_URL=url)
    assert sentence in " ".join(message.split())


def test_a_wrong_password(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("locked")
    with running_server(folder, "--requirepass", "right") as server:
        url = f"redis://:wrong-one@127.0.0.1:{server.port}"
        message = told_short(project, *WORK, code=3, REDIS_URL=url)
        assert f"Redis at 127.0.0.1:{server.port} refuses our credentials" in message
        assert "Check the user and password in REDIS_URL." in message
        assert "wrong-one" not in message


def test_a_database_that_redis_has_not(project: Project) -> None:
    url = project.environment["REDIS_URL"]
    message = told_short(project, *WORK, code=3, REDIS_URL=f"{url}/999")
    assert "has no database 999 (DB index is out of range)." in message
    assert "the path in REDIS_URL" in message


@pytest.mark.parametrize("words", [WORK, ("queues", "ls"), ("dispatch", "hello")])
def test_what_answers_is_no_redis(project: Project, words: tuple[str, ...]) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), WebServer) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"redis://127.0.0.1:{web.server_address[1]}"
        message = told_short(project, *words, code=3, REDIS_URL=url)
        web.shutdown()
    assert f"What answers at {url.rpartition('/')[2]} is no Redis" in message


@pytest.mark.parametrize(
    "words", [WORK, ("worker", "--all"), ("dev",), ("queues", "events", "default")]
)
def test_redis_is_not_there(project: Project, words: tuple[str, ...]) -> None:
    port = free_port()
    message = told_short(project, *words, code=3, REDIS_URL=f"redis://127.0.0.1:{port}")
    assert f"No Redis at 127.0.0.1:{port} (connection refused)." in message
    assert "Start one with 'bullq dev', or set REDIS_URL." in message


def test_an_unknown_queue(project: Project) -> None:
    message = told_short(project, "worker", "--queue", "defautl", code=4)
    assert "No queue is called 'defautl'" in message
    assert "did you mean default? known: default, data-sync, scheduled" in message


def test_an_unknown_job(project: Project) -> None:
    message = told_short(project, "dispatch", "helo", code=4)
    assert "No job is called 'helo' in this application" in message
    assert "did you mean hello? known: fail, hello, hold, hold-thread, pull-orders" in message


def test_an_unknown_id(project: Project) -> None:
    message = told_short(project, "jobs", "show", "nobody", code=4)
    assert "No job has the id 'nobody' on default, data-sync, scheduled." in message


def test_malformed_json_is_pointed_at(project: Project) -> None:
    message = told_short(project, "dispatch", "hello", '{"name": Ada}', code=2)
    assert message == (
        "error: The payload is no JSON: Expecting value (line 1, column 10).\n"
        '         {"name": Ada}\n'
        "                  ^ here\n"
    )


def test_malformed_json_in_a_file(project: Project) -> None:
    project.write("order.json", '{\n  "name": "Ada",\n}\n')
    message = told_short(project, "dispatch", "hello", "@order.json", code=2)
    assert "order.json is no JSON" in message
    assert "(line 3, column 1)" in message


def test_a_payload_that_is_empty(project: Project) -> None:
    project.write("order.json", "\n")
    message = told_short(project, "dispatch", "hello", "@order.json", code=2)
    assert "order.json is empty, and no JSON." in message
    assert "send {}" in message


def test_a_payload_file_that_is_not_there(project: Project) -> None:
    message = told_short(project, "dispatch", "hello", "@none.json", code=2)
    assert "The payload's file none.json cannot be read: No such file or directory." in message


def test_a_payload_that_does_not_validate(project: Project) -> None:
    message = told_short(project, "dispatch", "hello", '{"name": 5}', code=2)
    assert "name: Input should be a valid string (given 5)" in message


def test_all_problems_of_job_definitions_at_once(project: Project) -> None:
    project.write(
        "jobs/default/greet_service.py",
        "from jobs.default.hello_service import Hello\n"
        "from bullq import job\n\n"
        '@job(name="hello")\n'
        "def greet(data: Hello) -> None: ...\n",
    )
    raising = project.write("jobs/default/raise_service.py", "import os\n\nraise OSError('no')\n")
    project.write("jobs/default/broken_service.py", "def (:\n")
    message = told(project, *WORK, code=2)
    assert "the queue 'default' has a job 'hello' already" in message
    assert f"raises OSError at import: no ({raising}:3)" in message
    assert "broken_service.py, line 1" in message
    assert len(message.splitlines()) == 3


def test_a_folder_without_jobs(tmp_path: Path) -> None:
    message = told_short(Project(tmp_path), *WORK, code=2)
    assert "make jobs/<queue>/<job>_service.py" in message


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("worker",), "A worker needs a queue."),
        ((*WORK, "--all"), "--all works on every queue, also on those that --queue names."),
        ((*WORK, "--concurrency", "0"), "--concurrency is a whole number from 1 to 10,000, not 0."),
        ((*WORK, "--concurrency", "many"), "'--concurrency'"),
        ((*WORK, "--drain-timeout", "soon"), "'soon' is no duration; write it like 500ms, 30s"),
        ((*WORK, "--name", "two words"), "--name 'two words' cannot be a worker's name"),
        ((*WORK, "--log-format", "xml"), "'xml' is not one of 'text', 'json'."),
        ((*WORK, "--heartbeat"), "No such option: --heartbeat"),
        (("dispatch", "hello", "--priority", "-1"), "A priority is from 1 (first)"),
        (("dispatch", "hello", "--id", "17"), "'17' can collide"),
        (("dispatch", "hello", "--wait", "-1s"), "'-1s' is no duration"),
        (("jobs", "ls", "default", "--state", "lost"), "'lost' is not one of 'waiting'"),
        (("wroker",), "No such command 'wroker'. Did you mean 'worker'? See 'bullq --help'."),
    ],
)
def test_options_that_cannot_be(project: Project, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in " ".join(told_short(project, *words, code=2).split())


def test_an_unknown_variable(project: Project) -> None:
    message = told(project, *WORK, code=2, BULLQ_CONCURRENCY="5")
    assert "BULLQ_CONCURRENCY='5' is no setting of bullq" in message


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (("dispatch", "nope"), 4, "unknown-job"),
        (("jobs", "ls"), 2, "usage"),
    ],
)
def test_errors_are_json_where_answers_are(
    project: Project, words: tuple[str, ...], code: int, name: str
) -> None:
    error = json.loads(told(project, *words, "--json", code=code))["error"]
    assert error["code"] == name
    assert error["message"]


def test_a_module_that_raises_at_import_is_named_with_its_line(project: Project) -> None:
    project.write("shop.py", "raise RuntimeError('no such shelf')\n")
    done = project.run(*WORK, BULLQ_APP="shop:app")
    assert done.returncode == 2
    assert "shop: raises RuntimeError at import: no such shelf" in done.stderr
    assert "shop.py:1)" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_nobody_foresaw_keeps_its_traceback(project: Project) -> None:
    project.write(
        "shop.py",
        "from bullq import Bullq\n"
        "class Shop(Bullq):\n"
        "    @property\n"
        "    def queues(self): raise RuntimeError('not our fault')\n"
        "app = Shop()\n",
    )
    done = project.run(*WORK, BULLQ_APP="shop:app")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: not our fault" in done.stderr

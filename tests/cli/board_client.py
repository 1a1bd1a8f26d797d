"""A board in tests: start it, ask it as a browser or a program would."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.commands import Process, Project
from tests.support.deadline import DEADLINE


@dataclass(frozen=True)
class Answer:
    """What the board answered."""

    status: int
    headers: http.client.HTTPMessage
    body: str


@dataclass(frozen=True)
class RunningBoard:
    """A board that listens, and what it said of itself."""

    process: Process
    url: str

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def token(self) -> str:
        return urlsplit(self.url).query.removeprefix("token=")

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """Send one request; *headers* are written as in Python, `content_type`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())


@contextlib.contextmanager
def running_board(project: Project, *words: str, **environment: str) -> Iterator[RunningBoard]:
    """Run a board on a free port until the context ends; nobody asks it to end in order."""
    command = ("dashboard", "--port", "0", "--json", *words)
    with project.running(*command, **environment) as process:
        said = json.loads(process.wait_for('"url"'))
        yield RunningBoard(process, said["url"])

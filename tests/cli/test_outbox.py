"""The outbox at the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bullq_cli import app as command_line

from bullq.dispatch.outbox import Outbox
from tests.support.servers import RedisServer

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "out" / "box.db"


@pytest.fixture
def command(
    tmp_path: Path,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Give a function that runs a command in this process, for an application without jobs."""
    module = f"boxed_{prefix}"
    (tmp_path / f"{module}.py").write_text(
        "from pydantic import BaseModel\n"
        "from bullq import Bullq, job\n\n"
        "class Hello(BaseModel):\n    name: str = 'world'\n\n"
        "@job(queue='default')\ndef hello(data: Hello) -> str:\n    return data.name\n\n"
        "app = Bullq(jobs=[hello])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, value in (("APP", f"{module}:app"), ("PREFIX", prefix)):
        monkeypatch.setenv(f"BULLQ_{name}", value)

    def run(*words: str, **environment: str) -> tuple[int, str, str]:
        sys.modules.pop(module, None)  # its settings are read as it is imported
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return command_line.run(list(words)), *capsys.readouterr()

    return run


def test_jobs_are_listed_removed_and_delivered(
    command: Command, box: Path, valkey: RedisServer
) -> None:
    away = {"BULLQ_OUTBOX": str(box), "REDIS_URL": "redis://127.0.0.1:1"}
    for _ in range(2):
        code, told, said = command("dispatch", "hello", "--json", **away)
        answer = json.loads(told)
        assert (code, answer["engine"], answer["state"]) == (0, "outbox", "kept"), said
        assert answer["reason"] == "redis-away"
    listed = json.loads(command("outbox", "ls", "--json")[1])
    assert [(job["queue"], job["name"]) for job in listed] == [("default", "hello")] * 2
    assert command("outbox", "ls", "--queue", "data-sync", "--json")[1] == "[]\n"
    assert listed[1]["id"] in command("outbox", "ls")[1]
    removed = command("outbox", "rm", "default", listed[0]["id"])
    assert removed[:2] == (0, "1 job removed, not to run\n")
    assert command("outbox", "rm", "default", listed[0]["id"])[0] == 4
    code, told, said = command("outbox", "flush", "--deadline", "300ms")
    assert (code, told) == (1, "0 jobs delivered, 1 left\n")
    assert "1 job still in the outbox" in said
    code, told, said = command("outbox", "flush", REDIS_URL=valkey.url)
    assert (code, told) == (0, "1 job delivered, 0 left\n"), said
    assert listed[1]["id"] in command("jobs", "ls", "default", "--json")[1]


def test_what_is_held_back_is_told(command: Command, box: Path) -> None:
    command("dispatch", "hello", BULLQ_OUTBOX=str(box), REDIS_URL="redis://127.0.0.1:1")
    asyncio.run(_hold_back(box, "nobody can know"))
    assert "nobody can know" in command("outbox", "ls")[1]
    code, told, _ = command("outbox", "flush", "--json")
    assert (code, json.loads(told)) == (1, {"delivered": 0, "left": 1, "held_back": 1})


async def _hold_back(box: Path, problem: str) -> None:
    outbox = Outbox(box)
    [job] = await outbox.jobs()
    await outbox.hold_back(job, problem)
    await outbox.aclose()


def test_an_application_without_an_outbox_is_told_how_to_have_one(command: Command) -> None:
    code, _, said = command("outbox", "ls")
    assert code == 2
    assert "BULLQ_OUTBOX names its file" in said


def test_reconciling_tells_what_is_in_doubt_and_settles_it(
    command: Command, box: Path, valkey: RedisServer
) -> None:
    environment = {"BULLQ_OUTBOX": str(box)}
    assert command("reconcile", REDIS_URL=valkey.url, **environment)[:2] == (
        0,
        "nothing is in doubt\n",
    )
    command("dispatch", "hello", REDIS_URL="redis://127.0.0.1:1")
    code, told, _ = command("reconcile", "--dry-run", "--json", REDIS_URL=valkey.url)
    [finding] = json.loads(told)
    assert (code, finding["what"], finding["settled"]) == (0, "no engine has it", False)
    asyncio.run(_hold_back(box, "who knows"))
    code, told, said = command("reconcile")
    assert code == 1
    assert "who knows" in told
    assert "1 job still in doubt" in said

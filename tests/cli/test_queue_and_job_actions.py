"""What people do to queues and jobs at the command line."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from bullq_cli import app as command_line
from bullq_cli.exits import ExitCode

from bullq import Observer
from bullq.loading import load_app
from tests.support.servers import RedisServer


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


class Commands:
    """The commands of an application, in this process: starting one takes a second each time."""

    def __init__(self, output: pytest.CaptureFixture[str], prefix: str) -> None:
        self._output = output
        self.prefix = prefix

    def run(self, *words: str) -> Done:
        code = command_line.run(list(words))
        return Done(code, *self._output.readouterr())

    def answer(self, *words: str) -> Any:
        """Run a command that succeeds, and read its JSON."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def dispatch(self, name: str, *options: str) -> str:
        return str(self.answer("dispatch", name, *options)["id"])

    def work(self) -> None:
        """Run all that waits."""

        async def burst() -> None:
            application = load_app()
            await application.worker("default", Observer()).run(burst=True)
            await application.aclose()

        asyncio.run(burst())

    def states(self) -> dict[str, int]:
        [found] = [row for row in self.answer("queues", "ls") if row["name"] == "default"]
        names = ("waiting", "active", "delayed", "failed", "completed")
        return {name: found[name] for name in names if found[name]}

    def key(self, name: str) -> str:
        return f"{self.prefix}:{name}"


@pytest.fixture
def bullq(
    valkey: RedisServer,
    prefix: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Commands:
    for name, value in {
        "REDIS_URL": valkey.url,
        "BULLQ_PREFIX": prefix,
        "BULLQ_APP": "tests.cli.services",
    }.items():
        monkeypatch.setenv(name, value)
    return Commands(capsys, prefix)


def test_a_queue_is_paused_and_resumed(bullq: Commands) -> None:
    done = bullq.run("queues", "pause", "default")
    assert (done.returncode, done.stdout) == (0, "paused default; running jobs go on\n")
    [default, *_] = bullq.answer("queues", "ls")
    assert default["paused"]
    assert bullq.answer("queues", "resume", "default") == {"queue": "default", "paused": False}


def test_a_queue_shared_with_an_old_client_is_resumed_by_force_alone(
    bullq: Commands, database: redis.Redis
) -> None:
    database.lpush(bullq.key("default:paused"), "job-1")
    refused = bullq.run("queues", "resume", "default")
    assert refused.returncode == ExitCode.FAILED
    assert "shared with a client of BullMQ 5 (1 job in its list 'paused')" in refused.stderr
    assert bullq.run("queues", "resume", "default", "--force").returncode == 0
    assert database.lrange(bullq.key("default:wait"), 0, -1) == ["job-1"]


def test_failed_jobs_are_retried_all_or_one_by_its_id(bullq: Commands) -> None:
    ids = [bullq.dispatch("fail") for _ in range(2)]
    bullq.work()
    assert bullq.answer("jobs", "retry", ids[0], "--reset-attempts") == {
        "queue": "default",
        "id": ids[0],
        "done": "waits again",
    }
    assert bullq.states() == {"waiting": 1, "failed": 1}
    done = bullq.run("queues", "retry", "default")
    assert done.stdout == "waiting again: 1 job of default\n"
    assert bullq.states() == {"waiting": 2}
    again = bullq.run("jobs", "retry", f"default/{ids[0]}")
    assert again.returncode == ExitCode.FAILED
    assert "cannot be retried: it is not failed" in again.stderr


def test_delayed_jobs_are_promoted_all_or_one(bullq: Commands) -> None:
    ids = [bullq.dispatch("hello", "--delay", "1h") for _ in range(3)]
    assert bullq.answer("jobs", "promote", ids[0])["done"] == "waits now"
    assert bullq.answer("queues", "promote", "default") == {"queue": "default", "promoted": 2}
    assert bullq.states() == {"waiting": 3}


def test_jobs_are_removed_drained_and_cleaned(bullq: Commands) -> None:
    removed, _, _ = (bullq.dispatch("hello") for _ in range(3))
    bullq.dispatch("hello", "--delay", "1h")
    assert bullq.run("jobs", "remove", removed).stdout == f"default/{removed} removed\n"
    assert bullq.answer("queues", "drain", "default")["removed"] == 2
    assert bullq.answer("queues", "drain", "default", "--delayed")["removed"] == 1
    bullq.dispatch("hello")
    bullq.work()
    old = bullq.answer("queues", "clean", "default", "--older-than", "1h")
    assert old == {"queue": "default", "state": "completed", "removed": 0}
    done = bullq.run("queues", "clean", "default", "--limit", "5")
    assert done.stdout == "cleaned default: 1 completed job removed\n"


def test_a_job_that_no_list_knows_of_is_rescued(bullq: Commands, database: redis.Redis) -> None:
    lost = bullq.dispatch("hello")
    database.delete(bullq.key("default:wait"))
    assert bullq.answer("queues", "rescue", "default") == {"queue": "default", "rescued": [lost]}
    assert bullq.states() == {"waiting": 1}


def test_a_queue_is_obliterated_by_those_who_mean_it(
    bullq: Commands, database: redis.Redis
) -> None:
    bullq.dispatch("hello")
    asked = bullq.run("queues", "obliterate", "default")
    assert asked.returncode == ExitCode.WRONG_INPUT
    assert "bullq queues obliterate default --yes" in asked.stderr
    assert bullq.states() == {"waiting": 1}
    assert bullq.run("queues", "obliterate", "default", "--yes").stdout == "obliterated default\n"
    assert database.keys(bullq.key("default:*")) == []


def test_events_are_printed_until_nothing_happens(bullq: Commands) -> None:
    job_id = bullq.dispatch("hello")
    done = bullq.run("queues", "events", "default", "--since", "0", "--quiet-for", "100ms")
    assert [line.split()[1:3] for line in done.stdout.splitlines()] == [
        ["added", job_id],
        ["waiting", job_id],
    ]


@pytest.mark.parametrize("action", ["retry", "promote", "remove"])
def test_a_job_that_is_not_there_is_told(bullq: Commands, action: str) -> None:
    done = bullq.run("jobs", action, "nowhere")
    assert done.returncode == ExitCode.NOT_FOUND
    assert done.stderr.startswith("error: No job has the id 'nowhere' on default,")


def test_an_id_that_several_queues_have_is_asked_about(bullq: Commands, database: Any) -> None:
    for queue in ("default", "data-sync"):
        database.hset(bullq.key(f"{queue}:twin"), mapping={"name": "hello", "data": "{}"})
    done = bullq.run("jobs", "remove", "twin")
    assert done.returncode == ExitCode.WRONG_INPUT
    assert "say which: default/twin, data-sync/twin" in done.stderr


def test_a_flow_is_shown_as_a_tree(bullq: Commands) -> None:
    async def dispatch() -> None:
        application = load_app()
        hello = application.jobs.find("default", "hello")
        data = hello.payload.decode("{}")
        children = [hello.flow(data, id=f"child-{number}") for number in (1, 2)]
        await hello.flow(data, id="parent", children=children).dispatch()
        await application.aclose()

    asyncio.run(dispatch())
    done = bullq.run("jobs", "tree", "parent")
    assert done.stdout.splitlines() == [
        "default/hello parent waiting-children",
        "  default/hello child-1 waiting",
        "  default/hello child-2 waiting",
    ]
    shown = bullq.answer("jobs", "tree", "parent", "--depth", "1")
    assert (shown["state"], shown["children"]) == ("waiting-children", [])


def test_limits_of_all_workers_are_set_shown_and_taken_away(bullq: Commands) -> None:
    said = bullq.run("queues", "limit", "default").stdout
    assert said == "default: any number at once\n"
    said = bullq.run("queues", "limit", "default", "--concurrency", "2", "--rate", "100/1m").stdout
    assert said == "default: 2 at once, 100 per 60 s\n"
    assert bullq.answer("queues", "limit", "default", "--concurrency", "none") == {
        "queue": "default",
        "concurrency": None,
        "rate_limit": {"max": 100, "per_ms": 60_000},
    }
    assert bullq.answer("queues", "limit", "default", "--rate", "none")["rate_limit"] is None
    for option, value in (("--concurrency", "0"), ("--rate", "many/1s"), ("--rate", "5/soon")):
        done = bullq.run("queues", "limit", "default", option, value)
        assert done.returncode == ExitCode.WRONG_INPUT
        assert option in done.stderr

"""Processes of a busy supervisor are killed at random: no job is lost, none runs for nothing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.integration.processes.test_supervisor import key, until
from tests.support.commands import Project
from tests.support.servers import RedisServer

KILLS = int(os.environ.get("BULLQ_TEST_KILLS", "10"))
JOBS = 200 * KILLS
WORDS = ("worker", "--queue", "default", "--processes", "3", "--concurrency", "8")


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("BULLQ_TEST_SEED") or random.randrange(2**32))
    _say(f"repeat it with BULLQ_TEST_SEED={chosen}")
    return chosen


def _say(text: str) -> None:
    """Write what pytest shows of a test that fails, or with -s."""
    sys.stdout.write(f"{text}\n")


class Fleet:
    """The children of one supervisor, seen from outside: by /proc, and by their locks."""

    def __init__(self, parent: int, database: redis.Redis, base: str) -> None:
        self._children = Path(f"/proc/{parent}/task/{parent}/children")
        self._database = database
        self._base = base

    def prefixes(self) -> dict[int, str]:
        """Give what the tokens of each child begin with, by process id."""
        found = {}
        for pid in map(int, self._children.read_text().split()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                found[pid] = words[words.index("--token-prefix") + 1]
        return found

    def held_by(self, prefix: str) -> list[str]:
        """Give the ids of the jobs that a child holds."""
        active = self._database.lrange(f"{self._base}active", 0, -1)
        if not active:
            return []
        tokens = self._database.mget([f"{self._base}{one}:lock" for one in active])
        return [
            one for one, token in zip(active, tokens, strict=True) if f"{token}".startswith(prefix)
        ]

    def kill_all(self, parent: int) -> list[str]:
        """Kill everybody at once, the supervisor too; give the ids of the jobs that they held."""
        prefixes = self.prefixes()
        held = [one for prefix in prefixes.values() for one in self.held_by(prefix)]
        for pid in (*prefixes, parent):
            os.kill(pid, signal.SIGKILL)
        return held

    def busy(self) -> list[tuple[int, str]]:
        """Give the children that hold jobs now."""
        return [(pid, one) for pid, one in sorted(self.prefixes().items()) if self.held_by(one)]

    def kill_one(self, chance: random.Random) -> tuple[int, float]:
        """Kill a child in the middle of jobs; give its id, and the seconds to take them back."""
        busy: list[tuple[int, str]] = []
        until(lambda: bool(busy.extend(self.busy()) or busy))
        pid, prefix = chance.choice(busy)
        os.kill(pid, signal.SIGKILL)
        return pid, until(lambda: pid not in self.prefixes() and not self.held_by(prefix))


def put(project: Project, database: redis.Redis, jobs: int = JOBS) -> None:
    """Queue the jobs as simply as BullMQ reads them."""
    with database.pipeline() as pipe:
        for n in range(jobs):
            fields = {
                "name": "note",
                "data": f'{{"n": {n}, "seconds": 0.1}}',
                "opts": "{}",
                "timestamp": str(round(time.time() * 1000)),
                "delay": "0",
                "priority": "0",
            }
            pipe.hset(key(project, f"default:job-{n}"), mapping=fields)
            pipe.lpush(key(project, "default:wait"), f"job-{n}")
        pipe.zadd(key(project, "default:marker"), {"0": 0})
        pipe.execute()


@pytest.mark.slow
def test_no_job_is_lost_and_only_those_of_the_killed_run_again(
    project: Project, valkey: RedisServer, database: redis.Redis, seed: int
) -> None:
    chance = random.Random(seed)
    put(project, database)
    killed: list[int] = []
    recoveries: list[float] = []
    # One job can be hit by chance more often than the one stall that is allowed by default. No
    # lock ends by itself in time: it is the supervisor who takes jobs back.
    terms = {"MAX_STALLED_COUNT": str(KILLS), "LOCK_DURATION": "1h", "STALLED_INTERVAL": "1h"}
    settings = {f"BULLQ_QUEUES__DEFAULT__{name}": value for name, value in terms.items()}
    with project.running(*WORDS, "--log-level", "error", **settings) as worker:
        fleet = Fleet(worker.process.pid, database, key(project, "default:"))
        for _ in range(KILLS):
            pid, seconds = fleet.kill_one(chance)
            killed.append(pid)
            recoveries.append(seconds)
            time.sleep(chance.uniform(0.2, 0.6))  # the chance is when the next one dies
        done = key(project, "default:completed")
        until(lambda: database.zcard(done) == JOBS, 60 + JOBS / 50)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.output
    _say(f"slowest recovery {max(recoveries):.3f} s, of {KILLS}")
    assert database.zcard(key(project, "default:failed")) == 0
    runs = [list(map(int, database.lrange(key(project, f"runs:{n}"), 0, -1))) for n in range(JOBS)]
    assert all(pids and set(pids[:-1]) <= set(killed) for pids in runs)
    again = sum(len(pids) - 1 for pids in runs)
    _say(f"{again} runs cut short")
    assert again >= KILLS / 2


def test_jobs_of_a_fleet_that_died_with_its_supervisor_are_taken_back(
    project: Project, database: redis.Redis
) -> None:
    """By another machine's workers, once their locks have ended; how soon is told, not judged."""
    jobs = 80
    short = {"LOCK_DURATION": "1s", "STALLED_INTERVAL": "1s", "CONCURRENCY": "8"}
    settings = {f"BULLQ_QUEUES__DEFAULT__{name}": value for name, value in short.items()}
    words = ("worker", "--queue", "default", "--processes", "1", "--log-level", "warning")
    with project.running(*words, **settings) as one, project.running(*words, **settings) as other:
        dying = Fleet(one.process.pid, database, key(project, "default:"))
        staying = Fleet(other.process.pid, database, key(project, "default:"))
        until(lambda: len(dying.prefixes()) == len(staying.prefixes()) == 1)
        put(project, database, jobs)
        until(lambda: bool(dying.busy() and staying.busy()))
        held = dying.kill_all(one.process.pid)
        done = key(project, "default:completed")
        took = until(lambda: all(database.zmscore(done, held)), 60)
        until(lambda: database.zcard(done) == jobs, 60)
        other.signal(signal.SIGTERM)
        assert other.wait() == 0, other.output
    _say(f"{len(held)} jobs of the dead have completed after {took:.3f} s")
    assert held
    for n in range(jobs):
        runs = database.llen(key(project, f"runs:{n}"))
        assert runs == 1 or (runs == 2 and f"job-{n}" in held)

"""A worker's memory is small, and as small after many jobs as after few.

`make test` is short of time: BULLQ_TEST_JOBS=500000 runs half a million.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest
import redis

from tests.integration.processes.test_supervisor import key, until
from tests.support.commands import Project

JOBS = int(os.environ.get("BULLQ_TEST_JOBS", "6000"))
CHUNK = 5_000
OPTIONS = '{"removeOnComplete":true}'
MOST_MB = 70  # the command line, and what redis-py imports of OpenTelemetry, included
GROWTH_MB = 3  # the allocator's own ups and downs

APP = """
from pydantic import BaseModel
from bullq import Bullq, job


class Number(BaseModel):
    n: int = 0


@job(queue="default")
async def noop(data: Number) -> int:
    return data.n


app = Bullq(jobs=[noop])
"""


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


class Feed:
    """Jobs as BullMQ reads them, put into the queue while it is worked off."""

    def __init__(self, project: Project, database: redis.Redis) -> None:
        self._project = project
        self._database = database
        self._sent = 0

    def send_until(self, jobs: int) -> None:
        """Send so many in all, and wait until they are done."""
        wait, active = key(self._project, "default:wait"), key(self._project, "default:active")
        while self._sent < jobs:
            with self._database.pipeline(transaction=False) as pipe:
                for n in range(self._sent, min(self._sent + CHUNK, jobs)):
                    fields = {
                        "name": "noop",
                        "data": f'{{"n":{n}}}',
                        "opts": OPTIONS,
                        "timestamp": 1,
                    }
                    pipe.hset(
                        key(self._project, f"default:{n}"),
                        mapping={**fields, "delay": 0, "priority": 0},
                    )
                    pipe.lpush(wait, n)
                    self._sent = n + 1
                pipe.zadd(key(self._project, "default:marker"), {"0": 0})
                pipe.execute()
            until(lambda: self._database.llen(wait) <= CHUNK, 60)
        until(lambda: not self._database.llen(wait) + self._database.llen(active), 60)


@pytest.mark.slow
def test_memory_is_small_and_does_not_grow(project: Project, database: redis.Redis) -> None:
    project.write("shop.py", APP)
    words = ("worker", "--queue", "default", "--concurrency", "100", "--log-level", "warning")
    with project.running(*words) as worker:
        feed = Feed(project, database)
        feed.send_until(JOBS // 10)
        early = resident_mb(worker.process.pid)
        feed.send_until(JOBS)
        late = resident_mb(worker.process.pid)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.output
    sys.stdout.write(f"{early:.1f} MB after {JOBS // 10:,} jobs, {late:.1f} after {JOBS:,}\n")
    assert late < MOST_MB
    assert late - early < GROWTH_MB
    assert not database.keys(key(project, "default:[0-9]*"))

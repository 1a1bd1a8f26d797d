from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bullq.protocol.keys import QueueKeys
from bullq.store.adding import JobKind, NewJob
from bullq.store.arbiter import Adding, Arbiter, Confirmation, Pickup, Settled, Unsettled
from bullq.store.connection import Store
from bullq.store.scripts import Claim, Claimed, WorkerScripts
from tests.support.no_silent_skips import REDIS_SERVER, need
from tests.support.servers import RedisServer, debian_redis, running_server

TIMEOUT_MS = 60_000


@pytest.fixture(scope="session", params=["valkey", "redis-server"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """Every server kind that is here: bullq's own Valkey, and Debian's Redis 7.0."""
    if request.param == "valkey":
        yield request.getfixturevalue("valkey")
        return
    need(REDIS_SERVER)
    folder = tmp_path_factory.mktemp("redis")
    with running_server(folder, binary=debian_redis()) as other:
        yield other


@dataclass
class Bench:
    """A queue, its arbiter, and short ways to do and to read."""

    store: Store
    keys: QueueKeys
    arbiter: Arbiter
    epoch: str | None = None

    @property
    def client(self) -> Any:
        return self.store.client()

    async def add(
        self,
        *ids: str,
        dispatcher: str = "me",
        pickup: Pickup = Pickup.ALIVE,
        timeout_ms: int = TIMEOUT_MS,
        seen: tuple[str, ...] = (),
        **options: Any,
    ) -> list[Adding]:
        """Add jobs, and tell what came of each."""
        kind = JobKind("job", options)  # type: ignore[arg-type] # as the tests say them
        added = await self.arbiter.add_confirmed(
            [NewJob(kind, job_id, '{"n":1}') for job_id in ids],
            Confirmation(dispatcher, timeout_ms, pickup),
            epoch=self.epoch,
            seen=seen,
        )
        assert added.added is not None
        self.epoch = added.epoch
        return [one.outcome for one in added.added]

    async def settle(self, job_id: str, **given: Any) -> Settled:
        """Settle one job."""
        settling = await self.arbiter.settle([Unsettled(id=job_id, **given)])
        return settling.settled[0]

    async def claim(self, count: int = 1, *, plain: bool = True) -> list[Claimed]:
        """Claim jobs as a worker of ours does."""
        terms = Claim(lock_duration_ms=30_000, worker="w", plain=plain)
        scripts = WorkerScripts(self.store.pipelined(), self.keys, terms)
        exchanged = await scripts.exchange([], [f"token-{number}" for number in range(count)])
        return exchanged.claimed

    async def record(self, job_id: str) -> dict[str, str]:
        """Give a job's hash."""
        fields: dict[str, str] = await self.client.hgetall(self.keys.job(job_id))
        return fields

    async def pickup(self, job_id: str) -> float | None:
        """Give what the queue's index of pickups says of a job."""
        score: float | None = await self.client.zscore(self.keys.key("bullq:pickups"), job_id)
        return score

    async def events(self) -> list[tuple[str, str]]:
        """Give the queue's events: what happened, and to which job."""
        entries = await self.client.xrange(self.keys.key("events"))
        return [(entry["event"], entry.get("jobId", "")) for _, entry in entries]

    async def left(self) -> set[str]:
        """Give the names of the keys that the queue has."""
        keys = await self.client.keys(f"{self.keys.base}*")
        return {key.removeprefix(self.keys.base) for key in keys}

    async def server_ms(self) -> int:
        seconds, micros = await self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000


@pytest.fixture
async def bench(server: RedisServer, prefix: str) -> AsyncIterator[Bench]:
    store = Store(server.url)
    keys = QueueKeys(prefix, "default")
    yield Bench(store, keys, Arbiter(store.pipelined(), keys))
    await store.aclose()

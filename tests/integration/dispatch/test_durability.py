"""Strict durability: nobody acts on what is neither on Redis' disk nor on a replica."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from bullq import Bullq, DispatchInDoubt, QueueSpec, Reason, StoreUnavailable
from bullq.queues.checkup import examine_queue
from bullq.settings import Settings
from bullq.telemetry.findings import Level
from tests.conftest import AppFactory
from tests.integration.dispatch.conftest import JOBS, QUEUE, RUNS, Number, SiteFactory, double_it
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer, running_server
from tests.support.workers import running_worker

STRICT = [QueueSpec(name=QUEUE, durability="strict", confirm=True)]


@pytest.fixture
def syncing(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that syncs each write to its disk before it answers."""
    with running_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def replica(tmp_path: Path, own_server: RedisServer) -> Iterator[RedisServer]:
    """A replica of *own_server*, which a test may halt."""
    with redis.Redis.from_url(own_server.url) as client:
        client.config_set("repl-diskless-sync-delay", 0)
    of = ("--replicaof", "127.0.0.1", str(own_server.port))
    with running_server(tmp_path, *of) as server:
        yield server


async def test_a_server_that_syncs_each_write_is_strict_as_it_is(
    make_app: AppFactory, syncing: RedisServer
) -> None:
    app = make_app(*JOBS, queues=STRICT, url=syncing.url)
    assert await app.queue(QUEUE).check_durability() == "its disk"
    async with running_worker(app, QUEUE):
        receipt = await double_it.dispatch(Number(number=2))
        assert (receipt.engine, receipt.state) == ("bullmq", "started")
        assert await receipt.result(DEADLINE) == 4
    waited = (await app.store.client().info("commandstats")).get("cmdstat_wait", {"calls": 0})
    assert waited["calls"] == 0


async def test_a_server_that_can_keep_nothing_is_refused(make_app: AppFactory) -> None:
    app = make_app(*JOBS, queues=STRICT)
    with pytest.raises(StoreUnavailable, match="cannot keep what durability='strict' has to"):
        await double_it.dispatch(Number(number=1))
    with pytest.raises(StoreUnavailable, match="cannot keep"):
        async with running_worker(app, QUEUE):
            pass
    plain = make_app(*JOBS, queues=[QueueSpec(name=QUEUE, durability="strict")])
    with pytest.raises(StoreUnavailable, match="cannot keep"):
        await double_it.dispatch(Number(number=1))
    findings = await examine_queue(plain.queue(QUEUE), None)
    [told] = [one for one in findings if one.check == "durability"]
    assert told.level is Level.PROBLEM
    assert told.advice is not None
    client, keys = plain.store.client(), plain.queue(QUEUE).keys
    assert await client.llen(keys.key("wait")) == 0


async def test_what_such_a_server_cannot_keep_goes_to_inngest(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_QUEUES={QUEUE: {"durability": "strict"}})
    receipt = await double_it.dispatch(Number(number=1))
    assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_AWAY)
    await site.double.finished(receipt.id)
    assert site.runs(receipt.id) == {"inngest": 1}


async def test_a_job_begins_once_a_replica_has_its_claim(
    make_app: AppFactory, own_server: RedisServer, replica: RedisServer, prefix: str
) -> None:
    await _follows(own_server)
    app = make_app(*JOBS, queues=STRICT, url=own_server.url)
    loose = Bullq(jobs=JOBS, settings=Settings(REDIS_URL=own_server.url, BULLQ_PREFIX=prefix))
    client, active = loose.store.client(), app.queue(QUEUE).keys.key("active")
    async with running_worker(app, QUEUE) as (worker, _):
        await asyncio.wait_for(worker._exchange.idle.wait(), DEADLINE)  # its first look is over
        replica.signal(signal.SIGSTOP)
        receipt = await double_it.dispatch(Number(number=2))  # by an application that is not strict
        async with asyncio.timeout(DEADLINE):
            while not await client.llen(active) or not await _is_waited_for(client):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        assert not RUNS[receipt.id, "bullmq"]
        replica.signal(signal.SIGCONT)
        assert await receipt.result(DEADLINE) == 4
    assert RUNS[receipt.id, "bullmq"] == 1
    await loose.aclose()


async def test_an_add_that_no_replica_has_is_in_doubt(
    make_app: AppFactory, own_server: RedisServer, replica: RedisServer
) -> None:
    await _follows(own_server)
    app = make_app(*JOBS, queues=STRICT, url=own_server.url)
    assert await app.queue(QUEUE).check_durability() == "a replica"
    kept = await double_it.dispatch(Number(number=1))
    assert (kept.engine, kept.reason) == ("bullmq", Reason.NO_WORKERS)
    replica.signal(signal.SIGSTOP)
    with pytest.raises(DispatchInDoubt):
        await double_it.dispatch(Number(number=1), deadline=1)
    replica.signal(signal.SIGCONT)


async def _is_waited_for(client: Any) -> bool:
    """Tell whether somebody waits for a replica."""
    return any(one["cmd"] == "wait" for one in await client.client_list())


async def _follows(server: RedisServer) -> None:
    """Wait until the server has its replica."""
    store = Bullq(jobs=(), settings=Settings(REDIS_URL=server.url))
    client = store.store.client()
    async with asyncio.timeout(DEADLINE):
        await client.set("written", "once")
        while not await client.wait(1, 100):
            await client.set("written", "again")
    await store.aclose()

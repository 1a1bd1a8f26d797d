"""Each finding of a check-up, produced on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Bullq, QueueSpec, RateLimit, job
from bullq.doctor import diagnose
from bullq.errors import StoreUnavailable
from bullq.queues.checkup import examine_queue
from bullq.queues.queue import JobQueue
from bullq.queues.spec import STANDARD_QUEUES
from bullq.store.checkup import examine_server
from bullq.store.connection import Store
from bullq.telemetry.findings import Finding, Level
from bullq.worker.checkup import examine_machine
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.proxy import running_proxy
from tests.support.servers import RedisServer, debian_redis, free_port, running_server
from tests.support.workers import running_worker

DAY_MS = 86_400_000


class Nothing(BaseModel):
    pass


@job(queue="default", name="known")
async def known(data: Nothing) -> None:
    await asyncio.Event().wait()


def by_check(findings: Collection[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


async def all_of_server(url: str) -> list[Finding]:
    store = Store(url)
    try:
        return await examine_server(store)
    finally:
        await store.aclose()


async def of_server(url: str) -> dict[str, Finding]:
    return by_check(await all_of_server(url))


@pytest.fixture
async def admin(own_server: RedisServer) -> AsyncIterator[Any]:
    store = Store(own_server.url)
    yield store.client()
    await store.aclose()


async def test_a_server_as_it_should_be_has_nothing_but_oks(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As far as the server can do something about it: the machine may be busy.
    monkeypatch.setattr("bullq.store.checkup._SLOW_MS", 60_000)
    monkeypatch.setattr("bullq.store.checkup._SLOW_P99_MS", 60_000)
    found = await of_server(own_server.url)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert found["version"].message.startswith("Valkey 9.")
    assert "append-only" in found["persistence"].message
    assert "p50" in found["latency"].message
    assert "p99" in found["latency"].message


async def test_a_server_that_drops_or_forgets_jobs_is_told(
    own_server: RedisServer, admin: Any
) -> None:
    await admin.config_set("maxmemory-policy", "allkeys-lru")
    found = await of_server(own_server.url)
    assert found["eviction"].level is Level.WARNING  # nothing is dropped without a maxmemory
    await admin.config_set("maxmemory", "100mb")
    found = await of_server(own_server.url)
    assert found["eviction"].level is Level.PROBLEM
    assert "allkeys-lru" in found["eviction"].message
    assert found["eviction"].advice is not None
    assert "noeviction" in found["eviction"].advice
    await admin.config_set("appendonly", "no")
    found = await of_server(own_server.url)
    assert found["persistence"].level is Level.WARNING
    assert "every job" in found["persistence"].message
    await admin.config_set("save", "3600 1")
    found = await of_server(own_server.url)
    assert "snapshots only (save 3600 1)" in found["persistence"].message


async def test_a_server_that_is_almost_full_is_told(own_server: RedisServer, admin: Any) -> None:
    used = (await admin.info("memory"))["used_memory"]
    await admin.config_set("maxmemory", int(used / 0.85))
    assert (await of_server(own_server.url))["memory"].level is Level.WARNING
    await admin.config_set("maxmemory", used)
    assert (await of_server(own_server.url))["memory"].level is Level.PROBLEM
    await admin.config_set("maxmemory", 0)
    assert (await of_server(own_server.url))["memory"].level is Level.OK


async def test_a_server_that_cannot_write_to_its_disk_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with running_server(folder) as server:
        folder.rmdir()
        store = Store(server.url)
        await store.client().bgsave()
        async with asyncio.timeout(DEADLINE):
            while (await store.client().info("persistence"))["rdb_last_bgsave_status"] == "ok":  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
        await store.aclose()
        failed, *_ = [one for one in await all_of_server(server.url) if one.level is Level.PROBLEM]
    assert failed.check == "persistence"
    assert "the last snapshot failed" in failed.message


async def test_a_replica_and_its_primary_are_told(own_server: RedisServer, admin: Any) -> None:
    port = free_port()  # where nobody listens
    await admin.execute_command("REPLICAOF", "127.0.0.1", port)
    found = await of_server(own_server.url)
    assert found["role"].level is Level.PROBLEM
    assert f"127.0.0.1:{port}" in str(found["role"].advice)


async def test_clients_that_are_almost_too_many_are_told(
    own_server: RedisServer, admin: Any
) -> None:
    await admin.config_set("maxclients", 2)
    found = await of_server(own_server.url)
    assert found["clients"].level is Level.WARNING
    assert "of at most 2" in found["clients"].message


async def test_a_node_of_a_cluster_is_told_and_its_queues_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = str(free_port())  # by itself it takes one that may be beyond the last
    with running_server(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus) as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        monkeypatch.chdir(tmp_path)
        findings = (await diagnose()).findings
    found = by_check(findings)["cluster"]
    assert found.level is Level.WARNING
    assert "a hash tag, such as {bull}" in str(found.advice)
    [default] = [one for one in findings if one.subject == "queue default"]
    assert default.level is Level.SKIPPED


async def test_an_old_redis_is_told_apart_from_a_valkey(tmp_path: Path) -> None:
    binary = debian_redis()
    assert binary is not None, "apt-get install redis-server"
    with running_server(tmp_path, binary=binary) as server:
        found = await of_server(server.url)
    assert found["version"].message.startswith("Redis 7.")
    assert found["version"].level is Level.OK


async def test_a_user_who_may_not_ask_gets_what_can_be_told(
    own_server: RedisServer, admin: Any
) -> None:
    await admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-info")
    found = await of_server(own_server.url.replace("://", "://app:pw@"))
    assert found["info"].level is Level.SKIPPED
    assert "p99" in found["latency"].message
    await admin.execute_command("ACL", "SETUSER", "app", "+info", "-config")
    await admin.config_set("appendonly", "no")
    found = await of_server(own_server.url.replace("://", "://app:pw@"))
    assert "unknown" in found["persistence"].message


async def test_a_slow_network_is_told(valkey: RedisServer) -> None:
    async with running_proxy(valkey.port) as proxy:
        proxy.delay = 0.012
        found = await of_server(proxy.url)
    assert found["latency"].level is Level.WARNING


@pytest.mark.parametrize(("ahead", "word"), [(90, "late"), (-90, "early")])
async def test_a_clock_that_is_off_is_told(
    valkey: RedisServer, monkeypatch: pytest.MonkeyPatch, ahead: int, word: str
) -> None:
    now = time.time
    monkeypatch.setattr("bullq.store.checkup.time.time", lambda: now() + ahead)
    clock = (await of_server(valkey.url))["clock"]
    assert clock.level is Level.WARNING
    assert "1.5 min" in clock.message
    assert word in clock.message


async def test_a_server_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await of_server(f"redis://127.0.0.1:{free_port()}")


def test_too_few_open_files_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bullq.worker.checkup.open_files", lambda: 1024)
    [enough] = examine_machine(STANDARD_QUEUES)
    assert enough.level is Level.OK
    [few] = examine_machine([QueueSpec(name="wide", concurrency=2_000)])
    assert few.level is Level.WARNING
    assert few.advice is not None
    assert few.advice.startswith("ulimit -n 4")
    monkeypatch.setattr("bullq.worker.checkup.open_files", lambda: None)
    assert not examine_machine(STANDARD_QUEUES)


@pytest.fixture
def app(make_app: AppFactory) -> Bullq:
    limited = QueueSpec(name="limited", rate_limit=RateLimit(max=1, per=60))
    return make_app(known, queues=[limited])


async def of_queue(queue: JobQueue, names: Collection[str] | None = ("known",)) -> Any:
    return by_check(await examine_queue(queue, names))


async def test_a_queue_without_jobs_has_nothing_but_oks(app: Bullq) -> None:
    found = await of_queue(app.queue("default"))
    assert {check: one.level for check, one in found.items()} == {"jobs": Level.OK}
    assert "workers: none" in found["jobs"].message


async def test_jobs_that_nobody_works_on_are_a_problem(app: Bullq) -> None:
    queue = app.queue("default")
    receipt = await known.dispatch(Nothing())
    await queue.store.client().hincrby(queue.keys.job(receipt.id), "timestamp", -DAY_MS)
    found = await of_queue(queue)
    assert found["no-worker"].level is Level.PROBLEM
    assert "the oldest for 24.0 h" in found["no-worker"].message
    assert "bullq worker --queue default" in str(found["no-worker"].advice)
    await known.dispatch(Nothing(), priority=3)
    assert "2 waiting" in (await of_queue(queue))["jobs"].message
    await queue.control.pause()
    found = await of_queue(queue)
    assert found["paused"].advice == "bullq queues resume default"
    assert "no-worker" not in found  # somebody wants it so


async def test_workers_that_do_not_keep_up_are_named(app: Bullq) -> None:
    queue = app.queue("default")
    async with running_worker(app, "default", concurrency=1, name="slow", drain_timeout=0) as (
        _,
        recorder,
    ):
        for _ in range(2):
            receipt = await known.dispatch(Nothing())
            await queue.store.client().hincrby(queue.keys.job(receipt.id), "timestamp", -DAY_MS)
            await recorder.wait_for("job_started")
        found = await of_queue(queue)
        assert "workers: slow" in found["jobs"].message
        assert found["backlog"].level is Level.WARNING
        assert not {"no-worker", "stalled"} & found.keys()


async def test_a_delayed_job_that_nobody_begins_is_a_problem(app: Bullq) -> None:
    queue = app.queue("default")
    receipt = await known.dispatch(Nothing(), delay=3600)
    assert "overdue" not in await of_queue(queue)
    client = queue.store.client()
    await client.zincrby(queue.keys.key("delayed"), -2 * 3_600_000 * 4096, receipt.id)
    found = await of_queue(queue)
    assert found["overdue"].level is Level.PROBLEM
    assert "1.0 h ago" in found["overdue"].message


async def test_active_jobs_without_a_lock_are_told(app: Bullq) -> None:
    queue = app.queue("default")
    receipt = await known.dispatch(Nothing())
    await queue.store.client().lmove(
        queue.keys.key("wait"), queue.keys.key("active"), "RIGHT", "LEFT"
    )
    found = await of_queue(queue)
    assert found["stalled"].level is Level.PROBLEM
    assert "1 active jobs" in found["stalled"].message
    await queue.store.client().set(f"{queue.keys.job(receipt.id)}:lock", "token")
    assert "stalled" not in await of_queue(queue)


async def test_jobs_that_no_worker_of_ours_knows_are_a_problem(app: Bullq) -> None:
    queue = app.queue("default")
    await known.dispatch(Nothing())
    await queue.live.add("renamed-since", {}, {"priority": 2})
    await queue.live.add("of-another-release", {}, {})
    found = await of_queue(queue)
    assert found["unknown-jobs"].level is Level.PROBLEM
    assert "of-another-release, renamed-since" in found["unknown-jobs"].message
    assert "unknown-jobs" not in await of_queue(queue, None)


async def test_limits_and_old_clients_are_told(app: Bullq) -> None:
    queue = app.queue("limited")
    await queue.control.set_concurrency(3)
    await queue.control.set_rate_limit(5, per=60)
    await queue.control.hold_back(36_000)
    client = queue.store.client()
    await client.hset(queue.keys.key("meta"), "version", "bullmq:5.81.0")
    await client.rpush(queue.keys.key("paused"), "1", "2")
    found = await of_queue(queue)
    assert "at most 3 at once" in found["jobs"].message
    assert "at most 5 begin per 1.0 min" in found["jobs"].message
    assert "bullmq:5.81.0" in found["jobs"].message
    assert "10.0 h" in found["rate-limit"].message
    assert found["old-clients"].level is Level.WARNING
    assert "2 jobs in its list 'paused'" in found["old-clients"].message


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: RedisServer) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey.url)


@pytest.mark.usefixtures("_here")
async def test_settings_that_are_wrong_end_the_examination(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BULLQ_QUEUES__DEFAULT__CONCURRENCY", "0")
    monkeypatch.setenv("BULLQ_PREFX", "typo")
    diagnosis = await diagnose()
    told = [one.message for one in diagnosis.findings if one.check == "values"]
    assert len(told) == 1
    assert "BULLQ_PREFX" in told[0]
    assert diagnosis.count(Level.PROBLEM) == 1
    assert "redis" not in {one.subject for one in diagnosis.findings}


@pytest.mark.usefixtures("_here")
async def test_jobs_that_cannot_be_loaded_are_told_and_redis_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_jobs" / "default"
    package.mkdir(parents=True)
    (package / "bad_service.py").write_text("import no_such_module\n")
    monkeypatch.setenv("BULLQ_APP", "broken_jobs")
    diagnosis = await diagnose()
    found = by_check(diagnosis.findings)
    assert found["definitions"].level is Level.PROBLEM
    assert "no_such_module" in found["definitions"].message
    assert found["version"].level is Level.OK
    assert diagnosis.redis_is_there


@pytest.mark.usefixtures("_here")
async def test_scripts_that_nobody_has_proven_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_check((await diagnose()).findings)["scripts"].level is Level.OK
    monkeypatch.setattr("bullq.store.lua._PROVEN", frozenset())
    assert by_check((await diagnose()).findings)["scripts"].level is Level.WARNING

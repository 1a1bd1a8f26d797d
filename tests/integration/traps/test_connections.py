"""Lost replies, refused connections, odd names: each call has a deadline, each job one record."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode

import pytest
from pydantic import BaseModel

from bullq import Bullq, DispatchInDoubt, QueueSpec, StoreUnavailable, job
from bullq.store.connection import COMMAND_TIMEOUT
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.impatience import hurry
from tests.support.proxy import Mode, running_proxy
from tests.support.servers import RedisServer, free_port
from tests.support.workers import running_worker


class Nothing(BaseModel):
    pass


runs: list[str] = []


@job(queue="default", name="noted")
async def noted(data: Nothing) -> str:
    runs.append("ran")
    return "ran"


@pytest.fixture(autouse=True)
def no_runs() -> None:
    runs.clear()


async def ids(app: Bullq, queue: str = "default") -> list[str]:
    """List the jobs that wait."""
    live = app.queue(queue)
    waiting: list[str] = await live.store.client().lrange(live.keys.key("wait"), 0, -1)
    return waiting


async def test_p01_a_refused_address_is_told_at_once(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a wait for any deadline of the connection's."""
    monkeypatch.setattr("bullq.store.connection.CONNECT_TIMEOUT", 3600)
    monkeypatch.setattr("bullq.store.connection.COMMAND_TIMEOUT", 3600)
    make_app(noted, url=f"redis://127.0.0.1:{free_port()}")
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(StoreUnavailable, match="connection refused") as refused:
            await noted.dispatch(Nothing())
    assert not refused.value.in_doubt


async def test_p01_an_address_that_never_answers_is_told_within_the_deadline(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app = make_app(noted, url=proxy.url)
        await proxy.set_mode(Mode.BLACK_HOLE)
        hurry(app.store, 0.5)
        began = time.monotonic()
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await noted.dispatch(Nothing())
        assert time.monotonic() - began > 0.4
        hurry(app.store, COMMAND_TIMEOUT)
        await proxy.set_mode(Mode.PASS)
        # The outage leaves nothing behind that spoils the next call.
        receipt = await noted.dispatch(Nothing())
        assert await ids(app) == [receipt.id]


async def test_p02_a_lost_reply_is_told_with_the_id_and_makes_no_second_job(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app = make_app(noted, url=proxy.url)
        first = await noted.dispatch(Nothing())
        lost = proxy.catch(b"EVALSHA")
        sending = asyncio.create_task(noted.dispatch(Nothing(), id="order-7"))
        await asyncio.wait_for(lost.answered.wait(), DEADLINE)
        lost.cut()
        with pytest.raises(DispatchInDoubt, match="order-7") as doubt:
            await asyncio.wait_for(sending, DEADLINE)
        assert doubt.value.job_id == "order-7"
        assert await ids(app) == ["order-7", first.id]
        # Sending it again under its id is harmless, as the message says.
        again = await noted.dispatch(Nothing(), id=doubt.value.job_id)
        assert await ids(app) == ["order-7", first.id]
        async with running_worker(app, "default"):
            assert await again.result(timeout=DEADLINE) == "ran"
            assert await first.result(timeout=DEADLINE) == "ran"
        assert len(runs) == 2


async def test_p02_a_reply_lost_amid_a_bulk_is_told_with_an_id(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app = make_app(noted, url=proxy.url)
        await noted.dispatch(Nothing())
        lost = proxy.catch(b"EVALSHA")
        sending = asyncio.create_task(noted.dispatch_many([Nothing()] * 3))
        await asyncio.wait_for(lost.answered.wait(), DEADLINE)
        lost.cut()
        with pytest.raises(DispatchInDoubt) as doubt:
            await asyncio.wait_for(sending, DEADLINE)
        waiting = await ids(app)
        assert len(waiting) == 4
        assert doubt.value.job_id in waiting


async def test_w11_a_success_whose_recording_failed_stays_a_success(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    """The connection breaks before the settlement is sent, and refuses for a while."""
    ended, go_on = asyncio.Event(), asyncio.Event()

    @job(queue="default", name="succeeds", attempts=3)
    async def succeeds(data: Nothing) -> str:
        runs.append("ran")
        await go_on.wait()
        ended.set()
        return "done"

    async with running_proxy(valkey.port) as proxy:
        app = make_app(succeeds, url=proxy.url)
        direct = make_app(succeeds)
        receipt = await succeeds.dispatch(Nothing())
        async with running_worker(app, "default") as (_, recorder):
            await recorder.wait_for("job_started")
            await proxy.set_mode(Mode.REFUSE)
            go_on.set()
            await asyncio.wait_for(ended.wait(), DEADLINE)
            await recorder.wait_for("redis_lost")
            await proxy.set_mode(Mode.PASS)
            await recorder.wait_for("job_completed")
            assert await receipt.result(timeout=DEADLINE) == "done"
            assert not recorder.all("job_retried") + recorder.all("job_failed")
        assert runs == ["ran"]
        await direct.aclose()


async def test_w11_a_success_whose_recording_was_not_answered_stays_a_success(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    go_on = asyncio.Event()

    @job(queue="default", name="succeeds", attempts=3)
    async def succeeds(data: Nothing) -> str:
        runs.append("ran")
        await go_on.wait()
        return "done"

    async with running_proxy(valkey.port) as proxy:
        app = make_app(succeeds, url=proxy.url)
        await succeeds.dispatch(Nothing())
        async with running_worker(app, "default") as (_, recorder):
            await recorder.wait_for("job_started")
            lost = proxy.catch(b"done")
            go_on.set()
            await asyncio.wait_for(lost.answered.wait(), DEADLINE)
            lost.cut()
            await recorder.wait_for("job_completed")
        told = [one.what for one in recorder.told if one.what.startswith("job_")]
        assert told == ["job_started", "job_completed"]
        assert runs == ["ran"]


async def test_w18_a_queue_whose_name_has_a_space_is_worked_on(make_app: AppFactory) -> None:
    @job(queue="my queue", name="spaced")
    async def spaced(data: Nothing) -> str:
        return "ran"

    app = make_app(spaced)
    async with running_worker(app, "my queue"):
        assert await (await spaced.dispatch(Nothing())).result(timeout=DEADLINE) == "ran"


async def test_w18_a_server_that_refuses_names_and_more_is_put_up_with(
    make_app: AppFactory, own_server: RedisServer, prefix: str
) -> None:
    admin = make_app(noted, url=own_server.url)
    client = admin.store.client()
    commands = ["+@all", "-client|setname", "-client|setinfo", "-client|list"]
    await client.acl_setuser(
        "worker", enabled=True, passwords=["+secret"], keys=[f"{prefix}:*"], commands=commands
    )
    app = make_app(noted, url=f"redis://worker:secret@127.0.0.1:{own_server.port}")
    async with running_worker(app, "default"):
        assert await (await noted.dispatch(Nothing())).result(timeout=DEADLINE) == "ran"
    await app.aclose()
    await admin.aclose()


async def test_w18_w20_a_worker_whose_name_no_server_takes_works_unnamed(
    make_app: AppFactory,
) -> None:
    app = make_app(noted)
    async with running_worker(app, "default", name="my worker"):
        assert await (await noted.dispatch(Nothing())).result(timeout=DEADLINE) == "ran"


async def test_w20_dashboards_see_the_worker_once_and_who_ran_the_job(
    make_app: AppFactory, prefix: str
) -> None:
    app = make_app(noted, queues=[QueueSpec(name="my queue")])
    queue = app.queue("default")
    client = queue.store.client()
    async with running_worker(app, "default", name="w-1"):
        receipt = await noted.dispatch(Nothing())
        await receipt.result(timeout=DEADLINE)
        mark = f"{prefix}:{b64encode(b'default').decode()}"
        names = [one["name"] for one in await client.client_list()]
        assert [name for name in names if name.startswith(f"{mark}:w:")] == [f"{mark}:w:w-1"]
        assert mark not in names
    assert await client.hget(queue.keys.job(receipt.id), "pb") == "w-1"
    assert (await client.hget(queue.keys.key("meta"), "version")).startswith("bullq:")

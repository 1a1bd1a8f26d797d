from __future__ import annotations

import asyncio
import time

import pytest

from bullq import Bullq, InvalidOptionError, Job, Observer, StoreUnavailable, job
from bullq.queues.events import read_events
from bullq.queues.queue import JobQueue
from tests.conftest import AppFactory
from tests.integration.queues.conftest import Work
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode, running_proxy
from tests.support.servers import RedisServer


@pytest.fixture
def work() -> Job[Work, list[int]]:
    @job(queue="default", name="work", attempts=1)
    async def run(data: Work) -> list[int]:
        if data.fails:
            raise RuntimeError("no such order ✓")
        return [1, 2]

    return run


async def test_events_are_typed_and_come_in_order(
    app: Bullq, queue: JobQueue, work: Job[Work, list[int]]
) -> None:
    before = time.time() * 1000
    done = (await work.dispatch(Work(), delay=0.01)).id
    failed = (await work.dispatch(Work(fails=True))).id
    await queue.jobs.update_progress(done, {"half": True})
    await asyncio.sleep(0.02)  # until it is due
    await app.worker("default", Observer()).run(burst=True)
    await queue.control.clean()
    events = [event async for event in queue.events(since="0-0", quiet_for=0.05)]
    told = {(event.name, event.job_id): event for event in events}
    assert told["added", done].job_name == "work"
    assert told["waiting", done].state == "delayed"
    assert before - 1000 < (told["delayed", done].due_ms or 0) < time.time() * 1000 + 1000
    assert told["progress", done].progress == {"half": True}
    assert told["completed", done].result == [1, 2]
    assert told["completed", done].state == "active"
    assert told["failed", failed].reason == "no such order ✓"
    assert told["retries-exhausted", failed].attempts_made == 1
    assert told["cleaned", None].count == 1
    assert [event.at_ms for event in events] == sorted(event.at_ms for event in events)


async def test_reading_goes_on_after_a_known_event_each_told_once(
    queue: JobQueue, work: Job[Work, list[int]]
) -> None:
    await work.dispatch_many([Work()] * 3)
    everything = [event async for event in queue.events(since="0", quiet_for=0.05)]
    assert len(everything) == 6
    rest = [event async for event in queue.events(since=everything[3].id, quiet_for=0.05)]
    assert rest == everything[4:]


async def test_what_comes_while_the_reader_is_busy_is_not_taken_for_quiet(
    queue: JobQueue, work: Job[Work, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.queues.events._PAGE", 2)
    await work.dispatch_many([Work()] * 3)
    told = 0
    async for _ in queue.events(since="0", quiet_for=0.01):
        told += 1
        await asyncio.sleep(0.02)  # what the reader does with an event takes longer
    assert told == 6


async def test_unasked_only_what_comes_is_told(queue: JobQueue, work: Job[Work, list[int]]) -> None:
    await work.dispatch(Work(), id="before")
    events = queue.events()
    coming = asyncio.ensure_future(anext(events))
    async with asyncio.timeout(DEADLINE):
        while not await listening(queue):
            pass
    await work.dispatch(Work(), id="after")
    async with asyncio.timeout(DEADLINE):
        assert (await coming).job_id == "after"
    await events.aclose()
    assert not await listening(queue)


async def test_reading_goes_on_through_an_outage(
    make_app: AppFactory, work: Job[Work, list[int]], valkey: RedisServer
) -> None:
    behind = make_app(work)
    async with running_proxy(valkey.port) as proxy:
        front = make_app(work, url=f"redis://127.0.0.1:{proxy.port}")
        reader, writer = front.queue("default"), behind.queue("default")
        await writer.control.pause()
        events = reader.events(since="0-0")
        async with asyncio.timeout(DEADLINE):
            assert (await anext(events)).name == "paused"
            await proxy.set_mode(Mode.REFUSE)
            waiting = asyncio.ensure_future(anext(events))
            await writer.control.resume()
            await proxy.set_mode(Mode.PASS)
            assert (await waiting).name == "resumed"
        await events.aclose()
        await front.aclose()


async def test_an_outage_that_does_not_end_is_told(
    make_app: AppFactory, work: Job[Work, list[int]], valkey: RedisServer
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app = make_app(work, url=f"redis://127.0.0.1:{proxy.port}")
        queue = app.queue("default")
        await proxy.set_mode(Mode.REFUSE)
        with pytest.raises(StoreUnavailable, match=r"No events of the queue 'default' for 0.2 s"):
            await anext(read_events(queue.store, queue.keys, max_outage=0.2))


@pytest.mark.parametrize("since", ["", "yesterday", "1-x"])
async def test_an_id_that_is_none_is_refused(queue: JobQueue, since: str) -> None:
    with pytest.raises(InvalidOptionError, match="An event's id is like"):
        await anext(queue.events(since=since))


async def listening(queue: JobQueue) -> bool:
    name = queue.keys.client_name(":qe")
    found = await queue.store.client().client_list()
    return any(one["name"] == name and one["cmd"].startswith("xread") for one in found)

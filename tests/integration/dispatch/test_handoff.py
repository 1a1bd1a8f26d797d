"""Each way that a dispatch can end, on a real server behind a proxy that fails."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from bullq import (
    Bullq,
    DispatchInDoubt,
    DispatchUnavailable,
    Observer,
    QueueSpec,
    Reason,
    Receipt,
    RemoteJob,
    StoreUnavailable,
)
from bullq.dispatch.breaker import Breaker
from bullq.dispatch.bucket import TokenBucket
from bullq.worker.sweeper import Delivery, Sweeper
from tests.conftest import AppFactory
from tests.integration.dispatch.conftest import (
    GATE,
    JOBS,
    QUEUE,
    SILENT,
    Number,
    Site,
    SiteFactory,
    double_it,
    dropped,
    here_only,
    promptly,
    rerun,
    take_a_slot,
)
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker


async def test_a_job_that_a_worker_begins_is_on_bullmq(make_site: SiteFactory) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        receipt = await double_it.dispatch(Number(number=21))
        assert (receipt.engine, receipt.state, receipt.reason) == ("bullmq", "started", None)
        assert await receipt.result(DEADLINE) == 42
    assert site.runs(receipt.id) == {"bullmq": 1}
    assert receipt.timings.keys() == {"add", "pickup", "total"}


async def test_without_workers_inngest_runs_the_job(make_site: SiteFactory) -> None:
    site = await make_site()
    receipt = await double_it.dispatch(Number(number=21))
    assert (receipt.engine, receipt.state, receipt.reason) == ("inngest", "sent", Reason.NO_WORKERS)
    assert await receipt.result(DEADLINE) == 42
    async with running_worker(site.own, QUEUE):
        later = await double_it.dispatch(Number(number=1))
        assert later.engine == "bullmq"
    assert site.runs(receipt.id) == {"inngest": 1}


async def test_where_redis_refuses_inngest_runs_the_job(
    make_site: SiteFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Breaker.__init__.__kwdefaults__, "clock", lambda: 0.0)
    site = await make_site()
    await site.break_redis(Mode.REFUSE)
    receipt = await double_it.dispatch(Number(number=4))
    assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_AWAY)
    spared = await double_it.dispatch(Number(number=5))
    assert (spared.engine, spared.reason) == ("inngest", Reason.BREAKER_OPEN)
    await site.double.finished(receipt.id)
    await site.double.finished(spared.id)
    assert site.runs(receipt.id) == site.runs(spared.id) == {"inngest": 1}


async def test_where_redis_is_silent_the_event_is_guarded(make_site: SiteFactory) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        assert (await double_it.dispatch(Number(number=1))).engine == "bullmq"
    await site.break_redis(Mode.BLACK_HOLE)
    await site.proxy.cut_all()
    receipt = await double_it.dispatch(Number(number=4), deadline=SILENT)
    assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_SILENT)
    run = await site.double.finished(receipt.id)
    assert run.output == 8
    assert site.runs(receipt.id) == {"inngest": 1}


async def test_a_guarded_event_ends_where_a_worker_has_begun_the_job(
    make_site: SiteFactory,
) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=1))
        silenced = site.proxy.catch(b"silenced")  # executed, and its answer held back
        name = "silenced-" + site.own.settings.prefix
        receipt = await double_it.dispatch(Number(number=2), id=name, deadline=SILENT)
        silenced.let_go()
        assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_SILENT)
        run = await site.double.finished(receipt.id)
        assert run.output == {"handled_by": "bullmq"}
        assert await receipt.result(DEADLINE) == 4
    assert site.runs(receipt.id) == {"bullmq": 1}


async def test_an_answer_that_is_lost_is_asked_for_again(make_site: SiteFactory) -> None:
    site = await make_site()
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=1))
        caught = site.proxy.catch(b"lost-answer")
        dispatching = asyncio.create_task(
            double_it.dispatch(Number(number=2), id="lost-answer-" + site.own.settings.prefix)
        )
        async with asyncio.timeout(DEADLINE):
            await caught.answered.wait()
        caught.cut()
        receipt = await dispatching
        assert (receipt.engine, receipt.state) == ("bullmq", "started")
        assert await receipt.result(DEADLINE) == 4
    assert site.runs(receipt.id) == {"bullmq": 1}


async def test_a_paused_queue_keeps_its_jobs(make_site: SiteFactory) -> None:
    site = await make_site()
    queue = site.own.queue(QUEUE)
    await queue.control.pause()
    receipt = await promptly.dispatch(Number(number=1))
    assert (receipt.engine, receipt.state, receipt.reason) == ("bullmq", "queued", Reason.PAUSED)
    await queue.control.resume()
    async with running_worker(site.own, QUEUE):
        assert await receipt.result(DEADLINE) == 1


async def test_a_delayed_job_is_left_to_the_sweeper(make_site: SiteFactory) -> None:
    await make_site()
    receipt = await promptly.dispatch(Number(number=1), delay=60)
    assert (receipt.engine, receipt.state) == ("bullmq", "delayed")
    await receipt.cancel()
    assert await receipt.status() == "unknown"


async def test_live_workers_excuse_a_job_that_waits(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_PICKUP_TIMEOUT="200ms")
    async with running_worker(site.own, QUEUE, concurrency=1):
        await take_a_slot()
        receipt = await double_it.dispatch(Number(number=1))
        assert (receipt.engine, receipt.reason) == ("bullmq", Reason.BACKLOG)
        GATE.opened.set()
        assert await receipt.result(DEADLINE) == 2


async def test_a_job_that_has_to_start_promptly_does_not_wait(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_PICKUP_TIMEOUT="200ms")
    async with running_worker(site.own, QUEUE, concurrency=1):
        await take_a_slot()
        began = time.monotonic()
        receipt = await promptly.dispatch(Number(number=1))
        assert time.monotonic() - began >= 0.2
        assert (receipt.engine, receipt.reason) == ("inngest", Reason.NOT_STARTED)
        await site.double.finished(receipt.id)
        GATE.opened.set()
    assert site.runs(receipt.id) == {"inngest": 1}


async def test_a_job_without_fallback_stays(make_site: SiteFactory) -> None:
    site = await make_site()
    receipt = await here_only.dispatch(Number(number=1))
    assert (receipt.engine, receipt.state, receipt.reason) == ("bullmq", "queued", None)
    await site.break_redis(Mode.REFUSE)
    with pytest.raises((StoreUnavailable, DispatchInDoubt)):
        await here_only.dispatch(Number(number=1))


async def test_what_inngest_would_not_run_stays_on_bullmq(make_site: SiteFactory) -> None:
    site = await make_site(registered=False)
    receipt = await double_it.dispatch(Number(number=1))
    assert (receipt.engine, receipt.reason) == ("bullmq", Reason.NO_WORKERS)
    await site.break_redis(Mode.REFUSE)
    with pytest.raises(DispatchUnavailable, match="does not know 6 of our jobs"):
        await double_it.dispatch(Number(number=1))


async def test_the_flag_is_asked_for_each_job(make_site: SiteFactory) -> None:
    site = await make_site()
    flagged = Bullq(
        jobs=JOBS,
        settings=site.app.settings,
        use_bullmq=lambda job: job.name != "double-it",
    )
    async with running_worker(site.own, QUEUE):
        receipt = await double_it.dispatch(Number(number=1))
        assert (receipt.engine, receipt.reason) == ("inngest", Reason.SWITCHED_OFF)
        assert (await promptly.dispatch(Number(number=1))).engine == "bullmq"
    await flagged.aclose()


async def test_lost_data_is_raised_or_handled_as_the_job_says(
    make_site: SiteFactory, own_server: RedisServer
) -> None:
    held = {QUEUE: {"lock_duration": "1h"}}  # whoever holds the slot does not miss its lock
    site = await make_site(server=own_server, BULLQ_PICKUP_TIMEOUT="2s", BULLQ_QUEUES=held)
    async with running_worker(site.own, QUEUE, concurrency=1):
        await take_a_slot()
        told: list[object] = []
        for kind in (double_it, rerun, dropped):
            dispatching = asyncio.create_task(kind.dispatch(Number(number=1)))
            await _on_the_queue(site, 1)
            await site.own.store.client().flushall()
            told.append((await asyncio.gather(dispatching, return_exceptions=True))[0])
        GATE.opened.set()
    assert isinstance(told[0], DispatchInDoubt)
    assert isinstance(told[1], Receipt)
    assert isinstance(told[2], Receipt)
    assert told[1].state in {"queued", "started", "sent"}
    assert (told[2].state, told[2].reason) == ("dropped", Reason.DATA_LOST)


async def test_a_caller_that_goes_leaves_a_whole_decision(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_PICKUP_TIMEOUT="1s")
    name = "left-" + site.own.settings.prefix
    site.double.delay = 0.2
    async with running_worker(site.own, QUEUE, concurrency=1):
        await take_a_slot()
        dispatching = asyncio.create_task(promptly.dispatch(Number(number=1), id=name))
        await _on_the_queue(site, 1)
        dispatching.cancel()
        await asyncio.wait([dispatching])
        assert dispatching.cancelled()
        await site.double.finished(name)
        GATE.opened.set()
    assert site.runs(name) == {"inngest": 1}


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.BLACK_HOLE])
async def test_no_dispatch_outlives_its_deadline(make_site: SiteFactory, mode: Mode) -> None:
    site = await make_site()
    await double_it.dispatch(Number(number=0))
    site.double.delay = 30
    await site.break_redis(mode)
    await site.proxy.cut_all()
    began = time.monotonic()
    with pytest.raises(DispatchInDoubt):
        await double_it.dispatch(Number(number=1), deadline=0.5)
    assert 0.45 < time.monotonic() - began < 30 / 2


async def test_many_jobs_are_settled_each_on_its_own(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_PICKUP_TIMEOUT="300ms")
    async with running_worker(site.own, QUEUE, concurrency=50):
        receipts = await double_it.dispatch_many([Number(number=number) for number in range(400)])
        assert {receipt.engine for receipt in receipts} == {"bullmq"}
        assert [await receipt.result(DEADLINE) for receipt in receipts] == [
            2 * n for n in range(400)
        ]
    elsewhere = await double_it.dispatch_many([Number(number=number) for number in range(30)])
    assert {receipt.engine for receipt in elsewhere} == {"inngest"}
    for receipt in elsewhere:
        await site.double.finished(receipt.id)
    assert {count for one in elsewhere for count in site.runs(one.id).values()} == {1}


async def _on_the_queue(site: Site, count: int) -> None:
    """Wait until so many jobs wait on the queue."""
    client, key = site.own.store.client(), site.own.queue(QUEUE).keys.key("wait")
    async with asyncio.timeout(DEADLINE):
        while await client.llen(key) < count:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.005)


async def test_observers_hear_how_dispatches_end(make_site: SiteFactory) -> None:
    site = await make_site()
    recorder = Recorder()
    watched = Bullq(jobs=JOBS, settings=site.app.settings, observer=recorder)
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=1))
    await site.break_redis(Mode.REFUSE)
    receipt = await double_it.dispatch(Number(number=1))
    begun, fell = (told.arguments[0] for told in recorder.all("job_dispatched"))
    assert (begun.engine, begun.state, begun.reason) == ("bullmq", "started", "")
    assert begun.pickup_ms is not None
    assert (fell.engine, fell.id) == ("inngest", receipt.id)
    assert fell.reason in {"redis-away", "redis-cut"}
    opened = [told.arguments for told in recorder.all("breaker_changed")]
    assert opened[0] == ("bullmq", "open")
    await watched.aclose()


async def test_each_fallback_is_one_line_of_facts(
    make_site: SiteFactory, caplog: pytest.LogCaptureFixture
) -> None:
    await make_site()
    receipt = await double_it.dispatch(Number(number=1))
    [line] = [record.getMessage() for record in caplog.records if receipt.id in record.getMessage()]
    assert line.startswith("fell back: engine=inngest state=sent reason=no-workers job=handed/")


async def test_a_job_of_another_service_stays_on_bullmq(
    make_site: SiteFactory, prefix: str
) -> None:
    site = await make_site()
    theirs = RemoteJob(queue="theirs", name="refresh", data=Number, result=int)
    app = Bullq(jobs=[*JOBS, theirs], settings=site.app.settings)
    receipt = await theirs.dispatch(Number(number=1))
    assert (receipt.engine, receipt.state, receipt.reason) == ("bullmq", "queued", None)
    await site.break_redis(Mode.REFUSE)
    with pytest.raises((StoreUnavailable, DispatchInDoubt)):
        await theirs.dispatch(Number(number=1))
    await app.aclose()


async def test_no_sweeper_takes_what_may_not_fall_back(
    make_site: SiteFactory, tmp_path: Path
) -> None:
    site = await make_site(BULLQ_OUTBOX=tmp_path / "outbox.db", BULLQ_PICKUP_TIMEOUT="10ms")
    receipt = await here_only.dispatch(Number(number=1))
    other = await double_it.dispatch(Number(number=1), delay=0.05)
    queue = site.own.queue(QUEUE)
    sweeper = Sweeper(queue, _accept, Observer())
    async with asyncio.timeout(DEADLINE):
        while await other.status() == "delayed":
            await sweeper.sweep()
            await asyncio.sleep(0.02)
    assert await receipt.status() == "waiting"
    for _ in range(20):  # few are not forgotten yet
        await here_only.dispatch(Number(number=2))
    pickups = await queue.store.client().zrange(queue.keys.key("bullq:pickups"), 0, -1)
    assert receipt.id not in pickups


async def _accept(queue: str, parcel: object, now_ms: int) -> Delivery:
    return Delivery.ACCEPTED


async def test_code_without_an_event_loop_falls_back_too(make_site: SiteFactory) -> None:
    await make_site()
    receipt = await asyncio.to_thread(double_it.dispatch_sync, Number(number=3))
    assert (receipt.engine, receipt.reason) == ("inngest", Reason.NO_WORKERS)
    assert await asyncio.to_thread(receipt.result_sync, DEADLINE) == 6


async def test_a_duplicate_gets_the_receipt_of_the_job_that_stands_for_it(
    make_site: SiteFactory,
) -> None:
    site = await make_site()
    await site.own.queue(QUEUE).control.pause()
    first = await double_it.dispatch(Number(number=1), deduplication_id="one")
    second = await double_it.dispatch(Number(number=2), deduplication_id="one")
    assert (second.id, second.engine, second.reason) == (first.id, "bullmq", Reason.DUPLICATE)


async def test_a_job_dispatched_again_under_its_id_runs_once(make_site: SiteFactory) -> None:
    site = await make_site()
    name = "again-" + site.own.settings.prefix
    first = await double_it.dispatch(Number(number=1), id=name)
    assert first.engine == "inngest"
    await site.double.finished(name)
    async with running_worker(site.own, QUEUE):
        again = await double_it.dispatch(Number(number=1), id=name)
        assert (again.engine, again.state) == ("inngest", "sent")
        assert await again.result(DEADLINE) == 2
    assert site.runs(name) == {"inngest": 1}


async def test_a_queue_may_have_pickup_confirmed_without_another_engine(
    make_app: AppFactory,
) -> None:
    app = make_app(*JOBS, queues=[QueueSpec(name=QUEUE, confirm=True)])
    alone = await double_it.dispatch(Number(number=1))
    assert (alone.engine, alone.state, alone.reason) == ("bullmq", "queued", Reason.NO_WORKERS)
    async with running_worker(app, QUEUE):
        begun = await double_it.dispatch(Number(number=1))
        assert (begun.engine, begun.state) == ("bullmq", "started")


async def test_an_add_is_not_made_again_in_a_redis_that_has_lost_its_data(
    make_site: SiteFactory, own_server: RedisServer
) -> None:
    site = await make_site(server=own_server)
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=0))
        caught = site.proxy.catch(b"wiped")
        dispatching = asyncio.create_task(double_it.dispatch(Number(number=1), id="wiped"))
        async with asyncio.timeout(DEADLINE):
            await caught.answered.wait()
        await _ran(site, "wiped")
        await site.own.store.client().flushall()
        caught.cut()
        with pytest.raises(DispatchInDoubt, match="has lost data"):
            await dispatching
    assert site.runs("wiped") == {"bullmq": 1}


async def test_a_guarded_event_is_not_run_where_nobody_can_know(
    make_site: SiteFactory, own_server: RedisServer
) -> None:
    site = await make_site(server=own_server)
    async with running_worker(site.own, QUEUE):
        await double_it.dispatch(Number(number=0))
        silenced = site.proxy.catch(b"forgotten")
        site.double.delay = 0.3  # the event comes after the data is lost
        dispatching = asyncio.create_task(
            double_it.dispatch(Number(number=1), id="forgotten", deadline=SILENT)
        )
        async with asyncio.timeout(DEADLINE):
            await silenced.answered.wait()
        await _ran(site, "forgotten")
        await site.own.store.client().flushall()
        receipt = await dispatching
        silenced.let_go()
        assert (receipt.engine, receipt.reason) == ("inngest", Reason.REDIS_SILENT)
        run = await site.double.finished("forgotten")
        assert run.status == "Failed"
        assert "nobody can know" in run.output["message"]
    assert site.runs("forgotten") == {"bullmq": 1}


async def _ran(site: Site, job_id: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while not site.runs(job_id):  # noqa: ASYNC110 - the job tells nobody but its counter
            await asyncio.sleep(0.005)


async def test_a_redis_that_is_spared_is_asked_where_inngest_refuses(
    make_site: SiteFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for timed in (Breaker, TokenBucket):
        monkeypatch.setitem(timed.__init__.__kwdefaults__, "clock", lambda: 0.0)
    site = await make_site(BULLQ_FALLBACK_RATE=1)  # two at once
    await site.break_redis(Mode.REFUSE)
    assert [(await double_it.dispatch(Number(number=1))).engine for _ in range(2)] == [
        "inngest"
    ] * 2
    await site.break_redis(Mode.PASS)
    async with running_worker(site.own, QUEUE):
        assert (await double_it.dispatch(Number(number=1))).engine == "bullmq"

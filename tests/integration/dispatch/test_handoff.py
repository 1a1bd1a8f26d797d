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
    RemoteJob,
    StoreUnavailable,
)
from bullq.worker.sweeper import Delivery, Sweeper
from tests.conftest import AppFactory
from tests.integration.dispatch.conftest import (
    GATE,
    JOBS,
    QUEUE,
    Number,
    SiteFactory,
    double_it,
    here_only,
    on_the_queue,
    promptly,
    take_a_slot,
)
from tests.support.deadline import DEADLINE
from tests.support.proxy import Mode
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


async def test_a_caller_that_goes_leaves_a_whole_decision(make_site: SiteFactory) -> None:
    site = await make_site(BULLQ_PICKUP_TIMEOUT="1s")
    name = "left-" + site.own.settings.prefix
    site.double.delay = 0.2
    async with running_worker(site.own, QUEUE, concurrency=1):
        await take_a_slot()
        dispatching = asyncio.create_task(promptly.dispatch(Number(number=1), id=name))
        await on_the_queue(site, 1)
        dispatching.cancel()
        await asyncio.wait([dispatching])
        assert dispatching.cancelled()
        await site.double.finished(name)
        GATE.opened.set()
    assert site.runs(name) == {"inngest": 1}


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

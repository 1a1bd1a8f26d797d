"""A worker whose fetch gets no answer is noticed, rebuilt, and ended where that is in vain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Bullq, QueueSpec, StoreUnavailable, job
from bullq.jobs.dispatching import DispatchOptions
from bullq.worker.health import Part
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.impatience import hurry
from tests.support.proxy import running_proxy
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker

ONE = QueueSpec(name="one", concurrency=1)
CLAIMS = b"EVALSHA"  # on no connection but the one that fetches
LISTENS = b"BZPOPMIN"


class Hold(BaseModel):
    seconds: float = 0.0


@job(queue="one", name="hold", attempts=1)
async def hold(data: Hold) -> str:
    await asyncio.sleep(data.seconds)
    return "done"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bullq], None]:
    """Have an application's worker, which works already, wait for no answer for long."""

    def make(app: Bullq) -> None:
        hurry(app.store, 0.4)
        monkeypatch.setattr("bullq.store.connection.CONNECT_TIMEOUT", 0.4)
        monkeypatch.setattr("bullq.store.connection.COMMAND_TIMEOUT", 0.4)
        monkeypatch.setattr("bullq.worker.wakeup._ANSWER_MARGIN", 0.4)
        monkeypatch.setattr("bullq.worker.wakeup._STEP", 1.5)

    return make


WAITS: dict[str, Any] = {"longest_block": 0.4}


async def test_answers_elsewhere_are_no_progress(
    make_app: AppFactory, valkey: RedisServer, tmp_path: Path, impatient: Callable[[Bullq], None]
) -> None:
    """Only the connection that fetches is cut off: PING, and the listener, are answered."""
    beat = tmp_path / "beat"
    async with running_proxy(valkey.port) as proxy:
        app = make_app(hold, queues=[ONE], url=proxy.url, BULLQ_HEARTBEAT_FILE=beat)
        direct = make_app(hold, queues=[ONE])
        async with running_worker(app, "one", **WAITS) as (worker, recorder):
            await (await hold.dispatch(Hold())).result(timeout=DEADLINE)
            lost = recorder.counts["redis_lost"]
            proxy.swallow(CLAIMS)
            impatient(app)
            await recorder.wait_for("redis_lost", lost + 1)
            receipt = await direct.dispatcher.dispatch(hold, Hold(), DispatchOptions())
            last = beat.stat().st_mtime
            for _ in range(4):
                await app.store.check()
                await asyncio.sleep(0.3)  # what is to be seen is that nothing comes in a while
            assert worker.health.is_lost
            assert worker.health.silent_for > 1.2
            assert beat.stat().st_mtime == last
            assert recorder.counts["redis_back"] == lost
            answers = time.monotonic()
            proxy.swallow_no_more()
            assert await receipt.result(timeout=DEADLINE) == "done"
            await recorder.wait_for("redis_back", lost + 1)
            assert worker.health.last_answer > answers


async def test_a_fetch_that_is_never_answered_ends_the_worker(
    make_app: AppFactory,
    valkey: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    impatient: Callable[[Bullq], None],
) -> None:
    monkeypatch.setattr("bullq.worker.worker._SETTLE_DEADLINE", 0.4)
    async with running_proxy(valkey.port) as proxy:
        app = make_app(hold, queues=[ONE], url=proxy.url)
        worker = app.worker("one", recorder := Recorder(), max_outage=3, **WAITS)
        running = asyncio.create_task(worker.run())
        await recorder.wait_for("worker_started")
        await (await hold.dispatch(Hold())).result(timeout=DEADLINE)
        lost, back = (recorder.counts[f"redis_{one}"] for one in ("lost", "back"))
        assert lost == back
        proxy.swallow(CLAIMS)
        impatient(app)
        with pytest.raises(StoreUnavailable, match=r"on [2-9] new connections.* started anew"):
            await asyncio.wait_for(running, DEADLINE)
        await app.store.check()  # which is answered all the while
        assert recorder.counts["redis_lost"] == lost + 1
        assert recorder.counts["redis_back"] == back


async def test_a_listener_that_hangs_for_whatever_reason_is_replaced(
    make_app: AppFactory,
    valkey: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    impatient: Callable[[Bullq], None],
) -> None:
    """Its own deadline is taken away, as if a library kept it from ending."""
    monkeypatch.setattr("bullq.worker.watchdog._STUCK", 0.8)
    monkeypatch.setattr("bullq.worker.watchdog._TICK", 0.2)
    async with running_proxy(valkey.port) as proxy:
        app, _direct = make_app(hold, queues=[ONE], url=proxy.url), make_app(hold, queues=[ONE])
        async with running_worker(app, "one", **WAITS) as (_, recorder):
            await (await hold.dispatch(Hold())).result(timeout=DEADLINE)
            lost = recorder.counts["redis_lost"]
            proxy.swallow(LISTENS)
            impatient(app)
            monkeypatch.setattr("bullq.worker.wakeup._ANSWER_MARGIN", 3600)
            await recorder.wait_for("redis_lost", lost + 1)
            proxy.swallow_no_more()
            await recorder.wait_for("redis_back", lost + 1)
            assert await (await hold.dispatch(Hold())).result(timeout=DEADLINE) == "done"


async def test_a_worker_that_cannot_listen_asks_the_queue_all_the_same(
    make_app: AppFactory, valkey: RedisServer, impatient: Callable[[Bullq], None]
) -> None:
    async with running_proxy(valkey.port) as proxy:
        app, _direct = make_app(hold, queues=[ONE], url=proxy.url), make_app(hold, queues=[ONE])
        async with running_worker(app, "one", **WAITS) as (worker, recorder):
            await (await hold.dispatch(Hold())).result(timeout=DEADLINE)
            lost_before = recorder.counts["redis_lost"]
            proxy.swallow(b"SETNAME")
            proxy.swallow(LISTENS)
            impatient(app)
            await recorder.wait_for("redis_lost", lost_before + 1)
            lost = time.monotonic()
            assert await (await hold.dispatch(Hold())).result(timeout=DEADLINE) == "done"
            assert worker.health.last_answer > lost
            assert Part.LISTENING in worker.health._failing


async def test_a_worker_whose_slots_are_taken_is_ready(
    make_app: AppFactory, tmp_path: Path
) -> None:
    """It goes on to give signs of life, for longer than an outage may take."""
    beat = tmp_path / "beat"
    go_on = asyncio.Event()

    @job(queue="one", name="waits", attempts=1)
    async def waits(data: Hold) -> str:
        await go_on.wait()
        return "done"

    app = make_app(waits, queues=[ONE], BULLQ_HEARTBEAT_FILE=beat)
    async with running_worker(app, "one", max_outage=2) as (worker, recorder):
        receipt = await waits.dispatch(Hold())
        await recorder.wait_for("job_started")
        began, by_the_clock = time.monotonic(), time.time()
        async with asyncio.timeout(DEADLINE):
            while (  # noqa: ASYNC110 - nothing tells of its pulse
                worker.health.last_answer < began + 2 or beat.stat().st_mtime < by_the_clock + 1
            ):
                await asyncio.sleep(0.05)
        go_on.set()
        assert await receipt.result(timeout=DEADLINE) == "done"
        assert not recorder.all("redis_lost")


async def test_a_process_that_was_stopped_for_a_while_is_not_ended_for_it(
    make_app: AppFactory,
) -> None:
    app = make_app(hold, queues=[ONE])
    async with running_worker(app, "one", max_outage=1.5) as (worker, recorder):
        await (await hold.dispatch(Hold())).result(timeout=DEADLINE)
        seen = worker.health.last_answer
        while worker.health.last_answer == seen:  # noqa: ASYNC110 - nothing tells of its pulse
            await asyncio.sleep(0.05)
        await asyncio.wait_for(worker._exchange.idle.wait(), DEADLINE)
        time.sleep(2)  # noqa: ASYNC251 - as a suspended machine does
        assert await (await hold.dispatch(Hold())).result(timeout=DEADLINE) == "done"
        assert not recorder.all("worker_stopping")

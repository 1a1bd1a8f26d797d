"""Nothing that a job, an observer or a stored record does may end a worker or strand a job."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import threading
import uuid
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import (
    Backoff,
    Bullq,
    Context,
    InvalidOptionError,
    JobFailed,
    Observer,
    QueueSpec,
    job,
)
from bullq.protocol.record import JobRecord
from bullq.worker.worker import Worker
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer
from tests.support.workers import Recorder, running_worker

ONE = QueueSpec(name="one", concurrency=1, attempts=1)


class Nothing(BaseModel):
    pass


@job(queue="one", name="fine")
async def fine(data: Nothing) -> str:
    return "fine"


async def record(app: Bullq, queue: str, job_id: str) -> JobRecord:
    live = app.queue(queue)
    return JobRecord(job_id, await live.store.client().hgetall(live.keys.job(job_id)))


async def test_w06_a_job_that_raises_cancelled_error_fails_alone(make_app: AppFactory) -> None:
    @job(queue="one", name="cancelled")
    async def cancelled(data: Nothing) -> None:
        raise asyncio.CancelledError

    app = make_app(cancelled, fine, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        with pytest.raises(JobFailed, match="cancelled from within"):
            await (await cancelled.dispatch(Nothing())).result()
        assert await (await fine.dispatch(Nothing())).result() == "fine"
    assert [told.arguments[0].name for told in recorder.all("job_failed")] == ["cancelled"]


class Raising(Observer):
    """Raises in every method, and counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        for name in [name for name in vars(Observer) if not name.startswith("_")]:
            setattr(self, name, self._raise)

    def _raise(self, *arguments: Any) -> None:
        self.calls += 1
        raise RuntimeError("an observer that raises")


async def test_w07_a_raising_observer_strands_no_job(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    fails_once: list[int] = []

    @job(queue="one", name="second-time", attempts=2, backoff=Backoff.fixed(0))
    async def second_time(data: Nothing, ctx: Context) -> int:
        ctx.log("running")
        fails_once.append(ctx.job_attempt)
        if len(fails_once) == 1:
            raise ValueError("once")
        return len(fails_once)

    app = make_app(second_time, fine, queues=[ONE])
    observer = Raising()
    worker = app.worker("one", observer)
    task = asyncio.create_task(worker.run())
    assert await (await second_time.dispatch(Nothing())).result(timeout=DEADLINE) == 2
    assert await (await fine.dispatch(Nothing())).result(timeout=DEADLINE) == "fine"
    worker.stop()
    await asyncio.wait_for(task, DEADLINE)
    assert fails_once == [1, 2]
    assert observer.calls >= 6
    assert "an observer of bullq failed in job_started" in caplog.text


async def test_w08_a_sync_job_runs_once_and_completes_in_a_thread(make_app: AppFactory) -> None:
    threads: list[str] = []

    @job(queue="one", name="sync", attempts=3, backoff=Backoff.fixed(0))
    def sync(data: Nothing) -> str:
        threads.append(threading.current_thread().name)
        return "done"

    app = make_app(sync, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await sync.dispatch(Nothing())
        assert await receipt.result() == "done"
    assert threads == ["bullq one/sync"]
    assert (await record(app, "one", receipt.id)).attempts_made == 1


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (dt.datetime(2026, 11, 24, tzinfo=dt.UTC), '"2026-11-24T00:00:00Z"'),
        (uuid.UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (b"bytes", '"bytes"'),
        ({3}, "[3]"),
        (2**70, str(2**70)),
        (None, "null"),
        ({"null": [None]}, '{"null":[null]}'),
    ],
)
async def test_w12_values_beyond_json_are_results_all_the_same(
    make_app: AppFactory, value: Any, stored: str
) -> None:
    runs: list[str] = []

    @job(queue="one", name="undeclared", attempts=3, backoff=Backoff.fixed(0))
    async def undeclared(data: Nothing) -> Any:
        runs.append("undeclared")
        return value

    async def declared(data: Nothing) -> Any:
        runs.append("declared")
        return value

    declared.__annotations__["return"] = type(value)
    typed = job(queue="one", name="declared", attempts=3, backoff=Backoff.fixed(0))(declared)
    app = make_app(undeclared, typed, queues=[ONE])
    async with running_worker(app, "one"):
        for one in (undeclared, typed):
            receipt = await one.dispatch(Nothing())
            result = await receipt.result()
            assert (await record(app, "one", receipt.id)).return_value == stored
        assert result == value
        assert type(result) is type(value)
    assert runs == ["undeclared", "declared"]


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), b"\xff", object()],
    ids=["nan", "-inf", "bytes", "object"],
)
async def test_w12_a_result_that_json_cannot_hold_fails_the_job_at_once_naming_its_type(
    make_app: AppFactory, value: Any
) -> None:
    runs: list[int] = []

    @job(queue="one", name="impossible", attempts=5, backoff=Backoff.fixed(0))
    async def impossible(data: Nothing) -> Any:
        runs.append(1)
        return value

    app = make_app(impossible, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await impossible.dispatch(Nothing())
        with pytest.raises(JobFailed, match=f"the job ran, but .*{type(value).__name__}"):
            await receipt.result()
    assert runs == [1]


CORRUPT = {
    "options are no JSON": {"opts": "{"},
    "options are a list": {"opts": "[]"},
    "options are deep": {"opts": "[" * 100_000},
    "attempts are a word": {"opts": '{"attempts":"many"}'},
    "attempts are infinite": {"opts": '{"attempts":1e400}'},
    "attempts are NaN": {"opts": '{"attempts":NaN}'},
    "data are no JSON": {"data": "{"},
    "data are deep": {"data": '{"a":' * 100_000},
    "attempts made are a word": {"atm": "x"},
    "attempts made and started are words": {"atm": "x", "ats": "x"},
}


@pytest.mark.parametrize("fields", CORRUPT.values(), ids=CORRUPT.keys())
async def test_w14_a_corrupt_record_fails_at_once_with_the_reason(
    make_app: AppFactory, fields: dict[str, str]
) -> None:
    app = make_app(fine, queues=[ONE])
    receipt = await fine.dispatch(Nothing(), attempts=5)
    live = app.queue("one")
    client = live.store.client()
    await client.hset(live.keys.job(receipt.id), mapping=fields)
    async with running_worker(app, "one") as (_, recorder):
        [told] = await recorder.wait_for("job_failed")
        assert any(word in told.arguments[1] for word in ("JSON", "number", "payload"))
        assert await receipt.status() == "failed"
        # The worker goes on, and forgets the job.
        assert await (await fine.dispatch(Nothing())).result() == "fine"
        assert not await client.llen(live.keys.key("active"))
    assert (await record(app, "one", receipt.id)).attempts_started == 1


ODD_OPTIONS = {
    "retention by words": '{"removeOnComplete":{"count":"abc","age":"x"},"removeOnFail":"x"}',
    "endless retention": '{"removeOnComplete":1e400,"removeOnFail":{"count":NaN}}',
    "a great number to keep": '{"removeOnComplete":1e300}',
    "more attempts than fit": '{"attempts":123456789012345}',
    "an odd log bound": '{"kl":"abc"}',
    "odd delays": '{"delay":"x","priority":{},"timestamp":[]}',
    "odd traces": '{"stackTraceLimit":"x"}',
}


@pytest.mark.parametrize("options", ODD_OPTIONS.values(), ids=ODD_OPTIONS.keys())
async def test_w14_odd_options_lose_neither_the_job_nor_the_worker(
    make_app: AppFactory, options: str
) -> None:
    @job(queue="one", name="logs")
    async def logs(data: Nothing, ctx: Context) -> str:
        ctx.log("a row")
        return "ran"

    @job(queue="one", name="fails")
    async def fails(data: Nothing) -> None:
        raise ValueError("as it should")

    app = make_app(logs, fails, queues=[ONE])
    live = app.queue("one")
    receipts = [await logs.dispatch(Nothing()), await fails.dispatch(Nothing())]
    for receipt in receipts:
        await live.store.client().hset(live.keys.job(receipt.id), "opts", options)
    async with running_worker(app, "one") as (_, recorder):
        await recorder.wait_for("job_completed")
        # 123456789012345 attempts, and no backoff: it runs again and again until it is stopped.
        await recorder.wait_for("job_retried" if "123456789012345" in options else "job_failed")
    assert await receipts[0].status() == "completed"
    assert not recorder.all("trouble")


@pytest.mark.parametrize(
    "backoff", ['{"type":"own","delay":5}', '{"type":"fixed","delay":1e400}', "[1]", '"x"']
)
async def test_w14_a_backoff_that_nobody_knows_ends_the_job(
    make_app: AppFactory, backoff: str
) -> None:
    @job(queue="one", name="fails")
    async def fails(data: Nothing) -> None:
        raise ValueError("as it should")

    app = make_app(fails, queues=[ONE])
    live = app.queue("one")
    receipt = await fails.dispatch(Nothing())
    await live.store.client().hset(
        live.keys.job(receipt.id), "opts", f'{{"attempts":3,"backoff":{backoff}}}'
    )
    async with running_worker(app, "one"):
        with pytest.raises(JobFailed, match="as it should"):
            await receipt.result()
    stored = await record(app, "one", receipt.id)
    assert "Not tried again" in stored.stacktrace[0]
    assert stored.attempts_made == 1


async def test_w15_an_id_without_a_job_is_refused_and_removed(make_app: AppFactory) -> None:
    app = make_app(fine, queues=[ONE])
    live = app.queue("one")
    client = live.store.client()
    await client.lpush(live.keys.key("wait"), "ghost")
    async with running_worker(app, "one") as (_, recorder):
        [told] = await recorder.wait_for("job_discarded")
        assert told.arguments == ("one", "ghost")
        assert await (await fine.dispatch(Nothing())).result() == "fine"
    assert not await client.keys(live.keys.job("ghost*"))
    assert not await client.llen(live.keys.key("active"))
    assert len(recorder.all("job_started")) == 1


async def test_w16_the_clients_are_ours_and_decode_what_they_read(
    make_app: AppFactory, valkey: RedisServer
) -> None:
    """Whatever the URL asks for: a client that does not decode hands out jobs without a name."""
    url = f"{valkey.url}?decode_responses=False&socket_timeout=1"
    app = make_app(fine, queues=[ONE], url=url)
    async with running_worker(app, "one") as (_, recorder):
        assert await (await fine.dispatch(Nothing())).result() == "fine"
    assert recorder.all("job_started")[0].arguments[0].name == "fine"


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, "10"])
def test_w19_an_impossible_concurrency_is_refused(concurrency: Any) -> None:
    with pytest.raises(InvalidOptionError, match=r"concurrency.*not"):
        QueueSpec(name="one", concurrency=concurrency)


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_w19_a_worker_refuses_an_impossible_concurrency(
    make_app: AppFactory, concurrency: int
) -> None:
    app = make_app(fine, queues=[ONE])
    with pytest.raises(InvalidOptionError, match=r"concurrency.*not"):
        app.worker("one", Recorder(), concurrency=concurrency)


async def test_w19_unknown_options_are_refused(make_app: AppFactory) -> None:
    app = make_app(fine, queues=[ONE])
    with pytest.raises(TypeError, match="lock_time"):
        app.worker("one", Recorder(), lock_time=3)
    with pytest.raises(TypeError, match="concurency"):
        QueueSpec(name="one", concurency=3)  # type: ignore[call-arg]
    assert isinstance(app.worker("one", Recorder(), concurrency=3), Worker)


@pytest.mark.parametrize("paused_once", [False, True], ids=["plain claim", "BullMQ's claim"])
@pytest.mark.parametrize("fault", ["no hash", "no number"])
async def test_w14_a_record_that_cannot_be_claimed_ends_no_worker(
    make_app: AppFactory, fault: str, *, paused_once: bool
) -> None:
    app = make_app(fine, queues=[ONE])
    receipt = await fine.dispatch(Nothing())
    live = app.queue("one")
    client = live.store.client()
    if paused_once:  # a bound on the queue leaves claims to BullMQ's own script
        await client.hset(live.keys.key("meta"), "concurrency", 5)
    if fault == "no hash":
        await client.set(live.keys.job(receipt.id), "text")
    else:
        await client.hset(live.keys.job(receipt.id), "ats", "many")
    async with running_worker(app, "one") as (_, recorder):
        assert await (await fine.dispatch(Nothing())).result(timeout=DEADLINE) == "fine"
        if fault == "no hash":
            [told] = await recorder.wait_for("job_discarded")
            assert told.arguments == ("one", receipt.id)
            assert not await client.exists(live.keys.job(receipt.id))
        else:
            assert await receipt.result(timeout=DEADLINE) == "fine"
        assert not await client.llen(live.keys.key("active"))

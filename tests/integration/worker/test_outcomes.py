"""However a job ends, that is what is recorded, and its worker goes on."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import bullmq
import pytest
from pydantic import BaseModel

from bullq import Backoff, Bullq, Context, GiveUp, JobFailed, QueueSpec, RetryAfter, job
from bullq.jobs.limits import MOST_RESULT_BYTES
from bullq.protocol.record import JobRecord
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.pace import soonest
from tests.support.workers import running_worker

ONE = QueueSpec(name="one", concurrency=1, attempts=1, backoff=Backoff.fixed(0))


class Nothing(BaseModel):
    pass


class Order(BaseModel):
    order_id: int


async def record(app: Bullq, job_id: str, queue: str = "one") -> JobRecord:
    live = app.queue(queue)
    return JobRecord(job_id, await live.store.client().hgetall(live.keys.job(job_id)))


async def events(app: Bullq, queue: str = "one") -> list[dict[str, str]]:
    live = app.queue(queue)
    return [entry for _, entry in await live.store.client().xrange(live.keys.key("events"))]


class Mute(Exception):  # noqa: N818 - what it is
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Deaf(Exception):  # noqa: N818 - what it is
    def __str__(self) -> Any:
        return 7  # noqa: PLE0307 - the defect itself


ERRORS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "cancelled": (asyncio.CancelledError, "cancelled from within"),
    "system exit": (lambda: SystemExit(3), "3"),
    "interrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "stop iteration": (lambda: StopIteration(1), "StopIteration"),
    "stop async iteration": (StopAsyncIteration, "StopAsyncIteration"),
    "generator exit": (GeneratorExit, "GeneratorExit"),
    "group": (lambda: BaseExceptionGroup("many", [SystemExit(1), ValueError(2)]), "many"),
    "recursion": (lambda: RecursionError("deep"), "deep"),
    "memory": (MemoryError, "MemoryError"),
    "timeout": (lambda: TimeoutError("own"), "own"),
    "key": (lambda: KeyError("missing"), "KeyError: 'missing'"),
    "mute": (Mute, "Mute"),
    "deaf": (Deaf, "Deaf"),
    "half a character": (lambda: ValueError("half \ud800"), "half "),
    "binary": (lambda: ValueError("\x00\x01 ключ 🔑"), "ключ 🔑"),
    "long": (lambda: ValueError("x" * 1_000_000), "xxx"),
}


@pytest.mark.parametrize(("error", "reason"), ERRORS.values(), ids=ERRORS.keys())
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_whatever_a_job_raises_fails_that_job_alone(
    make_app: AppFactory, kind: str, error: Callable[[], BaseException], reason: str
) -> None:
    async def raises(data: Nothing) -> None:
        raise error()

    def raises_in_a_thread(data: Nothing) -> None:
        raise error()

    decorate = job(queue="one", name="raises")
    failing: Any = decorate(raises) if kind == "async" else decorate(raises_in_a_thread)

    @job(queue="one", name="fine")
    async def fine(data: Nothing) -> str:
        return "fine"

    app = make_app(failing, fine, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        receipt = await failing.dispatch(Nothing())
        with pytest.raises(JobFailed, match=reason):
            await receipt.result(timeout=DEADLINE)
        assert await (await fine.dispatch(Nothing())).result(timeout=DEADLINE) == "fine"
        assert not recorder.all("trouble")
    stored = await record(app, receipt.id)
    assert "raise error()" in stored.stacktrace[0]
    assert stored.attempts_made == 1
    live = app.queue("one")
    assert not await live.store.client().llen(live.keys.key("active"))


async def test_an_attempt_is_tried_again_until_none_is_left(make_app: AppFactory) -> None:
    @job(queue="one", name="fails", attempts=3)
    async def fails(data: Nothing, ctx: Context) -> None:
        raise ValueError(f"attempt {ctx.job_attempt} of {ctx.max_attempts}")

    app = make_app(fails, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        receipt = await fails.dispatch(Nothing())
        with pytest.raises(JobFailed, match="attempt 3 of 3"):
            await receipt.result(timeout=DEADLINE)
        await recorder.wait_for("job_failed")
        assert len(recorder.all("job_retried")) == 2
    stored = await record(app, receipt.id)
    assert (stored.attempts_made, stored.attempts_started) == (3, 3)
    said = [trace.splitlines()[-1] for trace in stored.stacktrace]
    assert said == [f"ValueError: attempt {number} of 3" for number in (1, 2, 3)]
    told = [entry for entry in await events(app) if entry["event"] == "retries-exhausted"]
    assert told == [{"event": "retries-exhausted", "jobId": receipt.id, "attemptsMade": "3"}]


@pytest.mark.parametrize("error", [GiveUp, bullmq.UnrecoverableError], ids=lambda one: one.__name__)
async def test_an_unrecoverable_error_spends_no_more_attempts(
    make_app: AppFactory, error: type[Exception]
) -> None:
    @job(queue="one", name="gives-up", attempts=5)
    async def gives_up(data: Nothing) -> None:
        raise error("hopeless")

    app = make_app(gives_up, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await gives_up.dispatch(Nothing())
        with pytest.raises(JobFailed, match="hopeless"):
            await receipt.result(timeout=DEADLINE)
    assert (await record(app, receipt.id)).attempts_made == 1
    assert "retries-exhausted" not in [entry["event"] for entry in await events(app)]


async def test_retry_after_waits_as_told_and_spends_attempts(make_app: AppFactory) -> None:
    began: list[float] = []

    @job(queue="one", name="later", attempts=3, backoff=Backoff.fixed(60))
    async def later(data: Nothing) -> None:
        began.append(time.monotonic())
        raise RetryAfter(0.2)

    async def longest() -> float:
        began.clear()
        receipt = await later.dispatch(Nothing())
        with pytest.raises(JobFailed, match=r"asked to be tried again in 0\.2 s"):
            await receipt.result(timeout=DEADLINE)
        assert len(began) == 3
        waits = [b - a for a, b in pairwise(began)]
        assert min(waits) >= 0.19
        return max(waits)

    app = make_app(later, queues=[ONE])
    async with running_worker(app, "one"):
        assert await soonest(longest, 0.4) < 0.4


async def test_an_unknown_job_fails_with_the_known_names(make_app: AppFactory) -> None:
    @job(queue="one", name="send-receipt")
    async def send_receipt(data: Nothing) -> None:
        pass

    app = make_app(send_receipt, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        await app.queue("one").live.add("send-reciept", {}, {"jobId": "typo"})
        [told] = await recorder.wait_for("job_failed")
    assert "did you mean send-receipt?" in told.arguments[1]


async def test_a_payload_that_does_not_fit_fails_at_once(make_app: AppFactory) -> None:
    @job(queue="one", name="order")
    async def order(data: Order) -> None:
        pass

    app = make_app(order, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        await app.queue("one").live.add("order", {"order_id": "x"}, {"jobId": "a", "attempts": 5})
        [told] = await recorder.wait_for("job_failed")
    assert "order_id: Input should be a valid integer" in told.arguments[1]
    assert (await record(app, "a")).attempts_made == 1


async def test_a_result_as_large_as_may_be_arrives(make_app: AppFactory) -> None:
    letters = MOST_RESULT_BYTES // 2 - 1  # of two bytes each, between quotes

    @job(queue="one", name="large")
    async def large(data: Nothing) -> str:
        return "я" * letters

    app = make_app(large, queues=[ONE])
    async with running_worker(app, "one"):
        result = await (await large.dispatch(Nothing())).result(timeout=DEADLINE)
    assert result == "я" * letters


async def test_an_async_job_past_its_timeout_is_cancelled_and_tried_again(
    make_app: AppFactory,
) -> None:
    cleaned: list[bool] = []

    @job(queue="one", name="slow", attempts=2, timeout=0.1)
    async def slow(data: Nothing, ctx: Context) -> str:
        if ctx.job_attempt == 2:
            return "in time"
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(ctx.cancelled)
        return "never"

    app = make_app(slow, queues=[ONE])
    async with running_worker(app, "one") as (_, recorder):
        assert await (await slow.dispatch(Nothing())).result(timeout=DEADLINE) == "in time"
        [told] = recorder.all("job_retried")
    assert told.arguments[1] == "the attempt ran longer than its timeout of 100 ms"
    assert len(cleaned) == 1


async def test_an_async_job_that_does_not_heed_its_timeout_keeps_no_slot(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.worker.execution._CLEAN_UP", 0.1)
    let_go, written = asyncio.Event(), asyncio.Event()

    @job(queue="one", name="stubborn", attempts=1, timeout=0.1)
    async def stubborn(data: Nothing, ctx: Context) -> str:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()
        ctx.log("nobody's any more")
        written.set()
        return "too late"

    @job(queue="one", name="fine")
    async def fine(data: Nothing) -> str:
        return "fine"

    app = make_app(stubborn, fine, queues=[ONE])
    async with running_worker(app, "one", concurrency=1) as (worker, recorder):
        receipt = await stubborn.dispatch(Nothing())
        with pytest.raises(JobFailed, match="ran longer than its timeout of 100 ms"):
            await receipt.result(timeout=DEADLINE)
        assert await (await fine.dispatch(Nothing())).result(timeout=DEADLINE) == "fine"
        assert worker.executions == []
        let_go.set()
        async with asyncio.timeout(DEADLINE):
            await written.wait()
        assert await (await fine.dispatch(Nothing())).result(timeout=DEADLINE) == "fine"
    [told] = recorder.all("trouble")
    assert told.arguments[1].endswith("(stubborn) goes on though it was cancelled at its timeout")
    assert recorder.counts["job_failed"] == 1
    logs = app.queue("one").keys.logs(receipt.id)
    assert await app.queue("one").store.client().llen(logs) == 0


async def test_a_sync_job_past_its_timeout_is_told_and_its_slot_is_free(
    make_app: AppFactory,
) -> None:
    @job(queue="one", name="slow", timeout=0.1)
    def slow(data: Nothing, ctx: Context) -> str:
        end = time.monotonic() + DEADLINE
        while not ctx.cancelled and time.monotonic() < end:
            time.sleep(0.005)  # what a sync job does between its looks
        return "too late"

    app = make_app(slow, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await slow.dispatch(Nothing())
        with pytest.raises(JobFailed, match="ran longer than its timeout of 100 ms"):
            await receipt.result(timeout=DEADLINE)


async def test_a_queues_timeout_holds_where_the_job_says_none(make_app: AppFactory) -> None:
    @job(queue="bounded", name="slow")
    async def slow(data: Nothing) -> None:
        await asyncio.sleep(3600)

    app = make_app(slow, queues=[QueueSpec(name="bounded", attempts=1, job_timeout=0.1)])
    async with running_worker(app, "bounded"):
        with pytest.raises(JobFailed, match="timeout of 100 ms"):
            await (await slow.dispatch(Nothing())).result(timeout=DEADLINE)


async def test_tasks_that_a_job_leaves_behind_disturb_nothing(make_app: AppFactory) -> None:
    left: list[asyncio.Task[None]] = []
    end = asyncio.Event()

    @job(queue="one", name="leaves-a-task")
    async def leaves_a_task(data: Nothing, ctx: Context) -> str:
        async def logs_on() -> None:
            while not end.is_set():
                ctx.log("still here")
                await asyncio.sleep(0)

        left.append(asyncio.create_task(logs_on()))
        await asyncio.sleep(0)
        return "done"

    app = make_app(leaves_a_task, queues=[ONE])
    async with running_worker(app, "one"):
        receipt = await leaves_a_task.dispatch(Nothing())
        assert await receipt.result(timeout=DEADLINE) == "done"
        assert await (await leaves_a_task.dispatch(Nothing())).result(timeout=DEADLINE) == "done"
        end.set()
        await asyncio.gather(*left)


async def test_5_000_jobs_leave_no_tasks_behind(make_app: AppFactory) -> None:
    @job(queue="default", name="quick")
    async def quick(data: Nothing, ctx: Context) -> None:
        if ord(ctx.job_id[-1]) % 2:
            ctx.log("odd")

    app = make_app(quick)
    async with running_worker(app, "default") as (worker, recorder):
        await (await quick.dispatch(Nothing())).result(timeout=DEADLINE)
        await asyncio.sleep(0)
        before = len(asyncio.all_tasks())
        for _ in range(5):
            await quick.dispatch_many([Nothing()] * 1_000)
        await recorder.wait_for("job_completed", 5_001)
        await (await quick.dispatch(Nothing())).result(timeout=DEADLINE)
        await recorder.wait_for("job_completed", 5_002)
        assert len(asyncio.all_tasks()) <= before + 1
        assert not worker._running
        assert not worker._exchange._pending
        assert sys.getsizeof(worker._renewal._held) < 20_000
        assert not worker._renewal._held


async def test_an_error_whose_traceback_cannot_be_formatted_is_recorded(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's formatter can fail by itself, such as 3.11.7's beside a parser in another thread."""

    @job(queue="one", name="fails")
    async def fails(data: Nothing) -> None:
        raise ValueError("as it should")

    def broken(*arguments: Any) -> list[str]:
        raise SystemError("AST constructor recursion depth mismatch")

    app = make_app(fails, queues=[ONE])
    monkeypatch.setattr("bullq.jobs.failure.traceback.format_exception", broken)
    async with running_worker(app, "one") as (_, recorder):
        receipt = await fails.dispatch(Nothing())
        [told] = await recorder.wait_for("job_failed")
    assert told.arguments[1] == "as it should"
    [trace] = (await record(app, receipt.id)).stacktrace
    assert trace == "ValueError: as it should (its traceback cannot be read)\n"

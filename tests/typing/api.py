"""The public API as users write it: never run, but read by a type checker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_type

from pydantic import BaseModel
from typing_extensions import TypedDict

from bullq import (
    Backoff,
    Bullq,
    Context,
    DispatchInDoubt,
    Flow,
    FlowReceipt,
    GiveUp,
    Job,
    JobEvent,
    JobFailed,
    Keep,
    Observer,
    QueueEvent,
    QueueSpec,
    RateLimit,
    Receipt,
    RemoteJob,
    RetryAfter,
    StepFailed,
    Worker,
    children_of,
    children_of_sync,
    job,
)
from bullq.testing import Inline

Strings = tuple[str, str, str, str]


class Order(BaseModel):
    order_id: int
    email: str


class Sent(BaseModel):
    message_id: str


@dataclass
class Page:
    number: int


class Row(TypedDict):
    key: str


@job
async def send_receipt(order: Order, ctx: Context) -> Sent:
    """Use @job bare, on an async function with a context."""
    ctx.log(f"{ctx.queue}/{ctx.name} {ctx.job_id} {ctx.job_attempt} of {ctx.max_attempts}")
    ctx.progress(50)
    ctx.progress({"done": 5})
    assert_type(ctx.cancelled, bool)
    if order.order_id < 0:
        raise GiveUp("there is no such order")
    if order.order_id == 0:
        raise RetryAfter(timedelta(minutes=1), "the mail server is busy")
    return Sent(message_id=order.email)


@job
async def count_words(row: Row) -> int:
    """Use @job bare, on an async function without a context."""
    return len(row["key"])


@job
def pull_page(page: Page) -> list[Row]:
    """Use @job bare, on an ordinary function."""
    return [{"key": str(page.number)}]


@job(
    queue="data-sync",
    name="pull",
    attempts=5,
    backoff=Backoff.exponential(timedelta(seconds=2), jitter=0.5),
    timeout=30,
    priority=3,
)
def pull_slowly(page: Page, ctx: Context) -> None:
    """Use @job with options, on an ordinary function with a context."""
    ctx.progress(page.number)


@job(cron="0 3 * * *", tz="Europe/Berlin")
async def nightly(pages: dict[str, int]) -> dict[str, int]:
    """Use @job with a schedule."""
    return pages


@job(every=timedelta(minutes=5), queue="scheduled")
def often(order: Order | Page) -> int | None:
    """Take a union."""
    return order.order_id if isinstance(order, Order) else None


@job(executor="process")
def crunch(page: Page) -> int:
    """Use @job with an executor."""
    return page.number


refresh = RemoteJob(queue="node", name="refresh", data=Page, result=Sent, attempts=2)
announce = RemoteJob(queue="node", name="announce", data=Row)
search: RemoteJob[Order | Page, list[Row] | None] = RemoteJob(
    queue="node", name="search", data=Order | Page, result=list[Row] | None
)


async def dispatched_to_node(order: Order) -> None:
    assert_type(await refresh.dispatch(Page(1)), Receipt[Sent])
    assert_type(announce.dispatch_sync({"key": "a"}), Receipt[None])
    assert_type(await search.dispatch(order), Receipt[list[Row] | None])
    assert_type(await search.dispatch_many([order, Page(1)]), list[Receipt[list[Row] | None]])


async def dispatched(order: Order, ctx: Context) -> None:
    receipt = await send_receipt.dispatch(order)
    assert_type(receipt, Receipt[Sent])
    assert_type(receipt.id, str)
    assert_type(receipt.engine, str)
    assert_type(await receipt.status(), str)
    assert_type(await receipt.result(timeout=5), Sent)
    assert_type(await receipt.result(timedelta(seconds=5)), Sent)
    assert_type(receipt.result_sync(), Sent)

    await send_receipt.dispatch(
        order,
        id="order-7",
        delay=timedelta(minutes=5),
        priority=1,
        lifo=False,
        attempts=3,
        deduplication_id="order",
        deduplication_ttl=60,
    )
    assert_type(count_words.dispatch_sync({"key": "a"}), Receipt[int])
    assert_type(await pull_page.dispatch(Page(1), delay=1.5), Receipt[list[Row]])
    assert_type(await pull_slowly.dispatch(Page(1)), Receipt[None])
    assert_type(await nightly.dispatch({"a": 1}), Receipt[dict[str, int]])
    assert_type(await often.dispatch(Page(1)), Receipt[int | None])
    assert_type(await pull_page.dispatch_many([Page(1), Page(2)]), list[Receipt[list[Row]]])

    assert_type(await send_receipt(order, ctx), Sent)
    assert_type(await count_words({"key": "a"}), int)
    assert_type(pull_page(Page(1)), list[Row])


def render(order_id: int) -> bytes:
    return b"" * order_id


async def mail(address: str, *, retries: int = 1) -> Sent:
    return Sent(message_id=address * retries)


@job
async def in_steps(order: Order, ctx: Context) -> Sent:
    """Take all kinds of steps."""
    assert_type(await ctx.run("render", render, order.order_id), bytes)
    assert_type(await ctx.run("mail", mail, order.email, retries=2), Sent)
    assert_type(await ctx.run("lambda", lambda: order.order_id), int)
    assert_type(await ctx.once("mail 7", mail, order.email), Sent)
    await ctx.sleep("short", 0.5)
    await ctx.sleep_until("then", datetime.now(UTC))
    pair = await ctx.parallel(
        lambda: ctx.run("a", render, 1), lambda: ctx.invoke("b", send_receipt, order)
    )
    assert_type(pair, tuple[bytes, Sent])
    branches = [lambda: ctx.run("c", len, "c"), lambda: ctx.run("d", len, "d")]
    assert_type(await ctx.parallel(*branches), tuple[int, ...])
    assert_type(await ctx.dispatch("later", count_words, Row(key="a")), str)
    assert_type(await ctx.invoke("remote", refresh, Page(1)), Sent)
    assert_type(await ctx.wait_for("paid", "paid", timedelta(days=1), Sent), Sent | None)
    assert_type((ctx.attempt, ctx.fence), tuple[int, int])
    await in_steps.send_event(ctx.job_id, "paid", Sent(message_id="m"))
    return pair[1]


@job
def in_blocking_steps(order: Order, ctx: Context) -> Sent:
    """Take steps in an ordinary function."""
    assert_type(ctx.sync.run("render", render, order.order_id), bytes)
    assert_type(ctx.sync.parallel(lambda: 1, lambda: "b"), tuple[int, str])
    assert_type(ctx.sync.wait_for("paid", "paid", 60, Sent), Sent | None)
    try:
        return ctx.sync.invoke("child", send_receipt, order)
    except StepFailed as failed:
        assert_type((failed.step, failed.name, failed.message, failed.trace), Strings)
        raise


async def tested_inline(order: Order) -> None:
    async with Inline() as engine:
        run = await engine.start(in_steps, order)
        assert_type(await run.result(), Sent)


async def flows(order: Order, ctx: Context) -> None:
    flow = send_receipt.flow(
        order,
        children=[
            count_words.flow({"key": "a"}, on_failure="ignore"),
            pull_page.flow(Page(1), children=[pull_slowly.flow(Page(2), delay=1.5)]),
        ],
    )
    assert_type(flow, Flow[Order, Sent])
    receipt = await flow.dispatch()
    assert_type(receipt, FlowReceipt[Sent])
    assert_type(await receipt.result(timeout=30), Sent)
    children = await children_of(ctx)
    assert_type(children.of(pull_page), list[list[Row]])
    assert_type(children_of_sync(ctx).of(count_words), list[int])


async def events(application: Bullq) -> None:
    async for event in application.queue("default").events(since="0-0", quiet_for=1):
        assert_type(event, QueueEvent)
        assert_type(event.job_id, str | None)


async def processed(given: dict[str, object], token: str) -> int:
    return len(given) + len(token)


def processed_in_a_thread(given: dict[str, object], token: str) -> None:
    """Take what every processor is given, and give nothing."""


async def in_place_of_the_official_worker() -> None:
    worker = Worker("default", processed, {"concurrency": 5, "removeOnComplete": True})
    Worker("default", processed_in_a_thread)
    heard: Callable[[str, int], None] = worker.on("completed", told)
    worker.once("error", print)
    worker.off("completed", heard)
    await worker.pause(do_not_wait_active=True)
    worker.resume()
    assert_type(worker.isRunning(), bool)
    assert_type(worker.cancelJob("7", "not wanted"), bool)
    worker.cancelAllJobs()
    await worker.close(timeout=30)
    await worker.close(force=True)


def told(given: str, result: int) -> None:
    """Listen to what a worker tells."""


async def failed(receipt: Receipt[Sent]) -> str:
    try:
        await receipt.result()
    except JobFailed as error:
        return error.reason
    except DispatchInDoubt as error:
        return error.job_id
    except TimeoutError:
        return "later"
    return "sent"


def names(jobs: list[Job[Order, Sent]]) -> list[str]:
    return [f"{one.queue}/{one.name}" for one in jobs]


class Counting(Observer):
    """Hears what is of interest."""

    def job_failed(self, job: JobEvent, reason: str) -> None:
        """Take every part of an event."""
        assert_type(job.queue, str)
        assert_type(job.attempt, int)
        assert_type(job.waited_ms, int)
        assert_type(job.ran_ms, float)


app = Bullq(
    jobs=[send_receipt, pull_slowly],
    queues=[
        QueueSpec(
            name="mail",
            concurrency=20,
            lock_duration=timedelta(minutes=1),
            rate_limit=RateLimit(max=10, per=1),
            keep_completed=Keep(count=100),
            keep_failed=Keep(age=timedelta(days=7)),
            job_timeout=None,
        )
    ],
)
app_of_a_package = Bullq(jobs="shop.jobs")

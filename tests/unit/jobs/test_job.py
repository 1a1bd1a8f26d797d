from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from bullq.errors import JobDefinitionError
from bullq.jobs import dispatching
from bullq.jobs.context import Context
from bullq.jobs.definition import JobPolicy
from bullq.jobs.dispatching import Dispatcher, DispatchOptions, bind_dispatcher
from bullq.jobs.job import AsyncJob, Job, SyncJob, job
from bullq.jobs.retry import Backoff


class Order(BaseModel):
    order_id: int


@dataclass
class Sent:
    """What reached the dispatcher."""

    job: Any
    items: list[Any]
    options: DispatchOptions


class Spy(Dispatcher):
    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.ran_sync = 0

    async def dispatch(self, job: Any, data: Any, options: DispatchOptions) -> Any:
        self.sent.append(Sent(job, [data], options))
        return "receipt"

    async def dispatch_many(self, job: Any, items: Sequence[Any], options: DispatchOptions) -> Any:
        self.sent.append(Sent(job, list(items), options))
        return ["receipt"] * len(items)

    def run_sync(self, call: Callable[[], Any]) -> Any:
        self.ran_sync += 1
        return asyncio.run(call())


@pytest.fixture
def spy() -> Iterator[Spy]:
    """Put a spy in the place of the process' dispatcher."""
    before, spy = dispatching._source, Spy()
    bind_dispatcher(lambda: spy)
    yield spy
    bind_dispatcher(before)


@job(queue="default")
async def send_receipt(order: Order, ctx: Context) -> int:
    """Send it."""
    return order.order_id + (0 if ctx is None else 1)


@job(queue="default", name="plain")
def plain(order: Order) -> int:
    return order.order_id


class Quiet(Context):
    cancelled = False

    def log(self, message: str) -> None: ...

    def progress(self, value: Any) -> None: ...


def test_a_function_s_name_becomes_the_job_s_where_no_file_says_it() -> None:
    assert (send_receipt.queue, send_receipt.name) == ("default", "send-receipt")
    assert (plain.queue, plain.name) == ("default", "plain")


def test_the_kind_of_job_follows_the_function() -> None:
    assert isinstance(send_receipt, AsyncJob)
    assert isinstance(plain, SyncJob)
    assert repr(plain) == "<SyncJob default/plain>"


async def test_a_decorated_function_is_still_called_as_itself() -> None:
    assert plain(Order(order_id=7)) == 7
    assert await send_receipt(Order(order_id=7), Quiet()) == 8
    assert send_receipt.__doc__ == "Send it."


async def test_a_job_that_takes_a_context_says_so_when_called_without() -> None:
    with pytest.raises(TypeError, match="send_receipt takes a Context as its second argument"):
        await send_receipt(Order(order_id=7))


class CallableObject:
    def __call__(self, order: Order) -> int:
        return order.order_id


@pytest.mark.parametrize("thing", ["default", 5, CallableObject(), None])
def test_what_is_no_function_is_refused_with_the_right_form(thing: Any) -> None:
    with pytest.raises(JobDefinitionError, match=r"as in @job\(queue=..., name=...\)"):
        job(queue="default")(thing)


def test_a_name_given_bare_is_refused_with_the_right_form() -> None:
    with pytest.raises(JobDefinitionError, match="@job decorates a function, not 'default'"):
        job("default")  # type: ignore[call-overload]


async def test_a_call_of_a_service_checks_nothing_and_needs_no_server() -> None:
    def boom(order: Order) -> int:
        raise LookupError(order.order_id)

    with pytest.raises(LookupError):
        job(queue="default")(boom)(Order(order_id=1))


def in_module(module: str) -> Callable[[Order], int]:
    def some_function(order: Order) -> int:
        return order.order_id

    some_function.__module__ = module
    return some_function


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("jobs.default.mail_service", ("default", "mail")),
        ("shop.jobs.data_sync.pull_orders_service", ("data-sync", "pull-orders")),
        ("default.x_service", ("default", "x")),
    ],
)
def test_bare_and_called_decorators_read_the_same_place(
    module: str, place: tuple[str, str]
) -> None:
    for made in (job(in_module(module)), job()(in_module(module))):
        assert (made.queue, made.name) == place


def test_keywords_beat_the_file_one_by_one() -> None:
    made = job(name="letter")(in_module("jobs.default.mail_service"))
    assert (made.queue, made.name) == ("default", "letter")
    made = job(queue="slow")(in_module("jobs.default.mail_service"))
    assert (made.queue, made.name) == ("slow", "mail")


@pytest.mark.parametrize("module", ["tasks", "mail_service", "jobs.default.mail"])
def test_a_job_whose_queue_cannot_be_told_is_refused_with_both_remedies(module: str) -> None:
    with pytest.raises(JobDefinitionError) as caught:
        job(in_module(module))
    assert "put it into <queue>/<job>_service.py or say @job(queue=...)" in str(caught.value)


def test_options_become_the_job_s_policy() -> None:
    made = job(
        queue="default",
        attempts=5,
        backoff=Backoff.fixed(1),
        timeout=timedelta(minutes=1),
        priority=3,
        every=2.5,
        tz="Europe/Berlin",
    )(in_module("x"))
    assert made.policy == JobPolicy(
        attempts=5,
        backoff=Backoff("fixed", 1_000),
        timeout_ms=60_000,
        priority=3,
        every_ms=2_500,
        tz="Europe/Berlin",
    )
    assert send_receipt.policy == JobPolicy()


@pytest.mark.parametrize("options", [{"timeout": -1}, {"every": float("nan")}])
def test_a_duration_that_cannot_be_is_refused_at_once(options: Any) -> None:
    with pytest.raises(ValueError, match="a duration is 0 seconds or more"):
        job(queue="default", **options)


async def test_dispatch_hands_over_the_data_and_every_option(spy: Spy) -> None:
    order = Order(order_id=7)
    receipt: Any = await send_receipt.dispatch(
        order,
        id="order-7",
        delay=timedelta(minutes=5),
        priority=3,
        lifo=True,
        attempts=2,
        deduplication_id="d",
        deduplication_ttl=60,
    )
    assert receipt == "receipt"
    options = DispatchOptions(
        id="order-7",
        delay=timedelta(minutes=5),
        priority=3,
        lifo=True,
        attempts=2,
        deduplication_id="d",
        deduplication_ttl=60,
    )
    assert spy.sent == [Sent(send_receipt, [order], options)]


def test_dispatch_sync_hands_over_the_same(spy: Spy) -> None:
    order = Order(order_id=7)
    receipt: Any = plain.dispatch_sync(
        order,
        id="order-7",
        delay=5,
        priority=3,
        lifo=True,
        attempts=2,
        deduplication_id="d",
        deduplication_ttl=60,
    )
    assert receipt == "receipt"
    assert spy.ran_sync == 1
    [sent] = spy.sent
    assert sent.options == DispatchOptions(
        id="order-7",
        delay=5,
        priority=3,
        lifo=True,
        attempts=2,
        deduplication_id="d",
        deduplication_ttl=60,
    )


async def test_dispatch_many_hands_over_all_items_at_once(spy: Spy) -> None:
    orders = [Order(order_id=number) for number in range(3)]
    receipts: Any = await plain.dispatch_many(orders, delay=1, priority=2, attempts=4)
    assert len(receipts) == 3
    assert spy.sent == [Sent(plain, orders, DispatchOptions(delay=1, priority=2, attempts=4))]


async def test_without_an_application_dispatch_says_what_to_import(spy: Spy) -> None:
    bind_dispatcher(None)
    with pytest.raises(RuntimeError, match=r"import bullq \(not bullq.jobs alone\) first"):
        await plain.dispatch(Order(order_id=1))


def test_problems_wait_for_the_start_and_do_not_break_the_import() -> None:
    made: Job[Any, Any] = job(queue="default")(lambda order: order)  # type: ignore[misc]
    assert "needs a type on its parameter 'order'" in made.problems[0]

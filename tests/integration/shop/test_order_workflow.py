"""The order workflow on the engines, unmodified: paid, invoiced, awaited, thanked, over days."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bullq import JobFailed
from bullq.engines import bullmq_memory
from bullq.testing import Inline
from bullq.testing.conformance import Bench, Session
from examples.shop import stock
from examples.shop.jobs.default.charge_card_service import charge_card
from examples.shop.jobs.default.fulfil_order_service import Parcel, Purchase, fulfil_order
from examples.shop.jobs.default.render_invoice_service import render_invoice
from examples.shop.jobs.default.send_receipt_service import Order, send_receipt
from tests.conformance.bullmq_bench import BullmqBench
from tests.conformance.inline_bench import InlineBench
from tests.conformance.inngest_bench import inngest_bench
from tests.support.servers import RedisServer

JOBS = (fulfil_order, charge_card, render_invoice, send_receipt)


@pytest.fixture(params=["inline", "bullmq", "inngest"])
async def bench(
    request: pytest.FixtureRequest,
    valkey: RedisServer,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Bench]:
    monkeypatch.setattr(bullmq_memory, "SHORTEST_PAUSE_MS", 50)
    if request.param == "inngest":
        async with inngest_bench(valkey.url, prefix) as running:
            yield running
    else:
        yield InlineBench() if request.param == "inline" else BullmqBench(valkey)


@pytest.fixture
async def session(bench: Bench, shop_data: Path) -> AsyncIterator[Session]:
    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(bench.session(*JOBS))


def purchase(bench: Bench, number: int, card: str = "4242424242424242") -> Purchase:
    return Purchase(
        order=Order(order_id=number, email="ada@mail.example"),
        card=card,
        cents=990,
        skus=["a-1", "a-2"],
        ask_after=bench.pause,
    )


def mails(shop_data: Path) -> set[str]:
    return {file.stem for file in (shop_data / "mail").iterdir()}


async def test_an_order_is_seen_through(bench: Bench, session: Session, shop_data: Path) -> None:
    run = await session.start(fulfil_order, purchase(bench, 11))
    await fulfil_order.send_event(run.id, "packed", Parcel(tracking="X1"))
    fulfilled = await run.result()
    assert (fulfilled.payment_id, fulfilled.invoice) == ("pay-11", "11.html")
    assert fulfilled.tracking == "X1"
    assert stock.reserved(11) == ["a-1", "a-2"]
    assert mails(shop_data) == {"receipt-11", "thanks-11"}


async def test_a_customer_is_asked_once(bench: Bench, session: Session, shop_data: Path) -> None:
    for number in (21, 22):
        run = await session.start(fulfil_order, purchase(bench, number))
        await fulfil_order.send_event(run.id, "packed", Parcel(tracking=f"X{number}"))
        await run.result()
    assert mails(shop_data) == {"receipt-21", "receipt-22", "thanks-21"}


async def test_a_declined_card_puts_the_products_back(bench: Bench, session: Session) -> None:
    run = await session.start(fulfil_order, purchase(bench, 31, "4000000000000002"))
    with pytest.raises(JobFailed, match="not paid: card ending in 0002 declined"):
        await run.result()
    assert stock.reserved(31) == []


async def test_a_parcel_that_never_comes_ends_the_wait(shop_data: Path) -> None:
    async with Inline() as engine:
        run = await engine.start(fulfil_order, purchase(InlineBench(), 41))
        await engine.advance(timedelta(days=6))
        assert run.job_state == "delayed"
        assert (await run.result()).tracking is None
    assert mails(shop_data) == {"receipt-41"}

"""Dispatch the shop's jobs in every way there is, and write down how each must end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bullq import Bullq, Receipt
from bullq.protocol.states import JobState
from examples.shop.jobs.data_sync.rebuild_search_index_service import Index, rebuild_search_index
from examples.shop.jobs.data_sync.sync_catalogue_service import Feed, sync_catalogue
from examples.shop.jobs.default.charge_card_service import Charge, charge_card
from examples.shop.jobs.default.render_invoice_service import Invoice, render_invoice
from examples.shop.jobs.default.send_receipt_service import Item, Order, send_receipt
from examples.shop.jobs.scheduled.abandoned_cart_reminder_service import (
    Cart,
    abandoned_cart_reminder,
)
from examples.shop.jobs.scheduled.nightly_report_service import ZONE, Day, nightly_report

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
WAVES, BETWEEN_WAVES = 10, 0.12
"""How often a batch of orders comes in, and after how many seconds the next."""
RESULT_DEADLINE = 10.0
"""Seconds to wait for the one result that is awaited."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job must end: its state, after how many attempts, and a failure's reason in part."""

    state: JobState = JobState.COMPLETED
    attempts: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """One dispatched job; *kind* says for people what it is here to show."""

    kind: str
    queue: str
    id: str
    outcome: Outcome


class Plan:
    """What has been dispatched so far."""

    def __init__(self, app: Bullq) -> None:
        self.app = app
        self.expected: list[Expected] = []
        self.problems: list[str] = []

    async def dispatch(self) -> None:
        """Send everything; orders come in over a second or two, as they do."""
        await self._awaited()
        await self._delayed()
        for wave in range(WAVES):
            await self._orders(wave)
            await asyncio.sleep(BETWEEN_WAVES)
        await self._failing()
        await self._data_sync()
        await self._from_elsewhere()

    def mails(self) -> int:
        """Tell how many emails there must be in the end."""
        kinds = ("immediate receipts", "from a thread", "from another service", "delayed reminders")
        return len([one for one in self._completed() if one.kind in kinds])

    def payments(self) -> int:
        """Tell how many payments there must be in the end."""
        kinds = ("immediate charges", "busy gateway, retried", "awaited result")
        return len([one for one in self._completed() if one.kind in kinds])

    def _completed(self) -> list[Expected]:
        return [one for one in self.expected if one.outcome.state is JobState.COMPLETED]

    def _expect(self, kind: str, *receipts: Receipt[Any], outcome: Outcome | None = None) -> None:
        for receipt in receipts:
            self.expected.append(Expected(kind, receipt.queue, receipt.id, outcome or Outcome()))

    async def _orders(self, wave: int) -> None:
        """Send a receipt to each of 20 customers, charge 5 cards, write 9 invoices."""
        first = 1000 + 20 * wave
        orders = [order(number) for number in range(first, first + 20)]
        self._expect("immediate receipts", *await send_receipt.dispatch_many(orders))

        first = 2000 + 10 * wave
        charges = [charge(number) for number in range(first, first + 5)]
        self._expect("immediate charges", *await charge_card.dispatch_many(charges))
        busy = await charge_card.dispatch_many([charge(first + 7), charge(first + 107)])
        self._expect("busy gateway, retried", *busy, outcome=Outcome(attempts=2))

        for number in range(first, first + 9):
            invoice = Invoice(order_id=number, customer=f"Customer {number}", cents=number)
            receipt = await render_invoice.dispatch(invoice, priority=1 + number % 3)
            self._expect("prioritised", receipt)

    async def _data_sync(self) -> None:
        feed = await sync_catalogue.dispatch(Feed(supplier="globex", page_size=10))
        report = await nightly_report.dispatch(Day(day=datetime.now(ZoneInfo(ZONE)).date()))
        self._expect("catalogue and report", feed, report)
        await self._deduplicated()
        for priority in range(1, 11):
            rebuilt = await rebuild_search_index.dispatch(Index("acme"), priority=priority)
            self._expect("prioritised", rebuilt)

    async def _failing(self) -> None:
        always_busy = [charge(number) for number in (2099, 2199, 2299)]
        failed = Outcome(JobState.FAILED, attempts=3, reason="gateway busy")
        lost = await charge_card.dispatch_many(always_busy)
        self._expect("failing at every attempt", *lost, outcome=failed)

        declined = [charge(number, DECLINED_CARD) for number in range(3000, 3005)]
        failed = Outcome(JobState.FAILED, reason="card ending in 0002 declined")
        refused = await charge_card.dispatch_many(declined)
        self._expect("given up at once", *refused, outcome=failed)

        failed = Outcome(JobState.FAILED, reason="no feed of the supplier 'initech'")
        feed = await sync_catalogue.dispatch(Feed(supplier="initech"))
        self._expect("given up at once", feed, outcome=failed)

    async def _deduplicated(self) -> None:
        receipts = [
            await sync_catalogue.dispatch(
                Feed(supplier="acme"),
                deduplication_id="sync-acme",
                deduplication_ttl=timedelta(minutes=1),
            )
            for _ in range(5)
        ]
        if len({receipt.id for receipt in receipts}) != 1:
            self.problems.append("sync-acme: five deduplicated dispatches made more than one job")
        self._expect("five deduplicated to one", receipts[0])

    async def _awaited(self) -> None:
        receipt = await charge_card.dispatch(charge(5000))
        payment = await receipt.result(timeout=RESULT_DEADLINE)
        if payment.payment_id != "pay-5000":
            self.problems.append(f"order 5000: awaited 'pay-5000', got {payment.payment_id!r}")
        self._expect("awaited result", receipt)

    async def _delayed(self) -> None:
        for seconds in (1, 2, 3):
            first = 4000 + 100 * seconds
            carts = [
                Cart(order_id=number, email=f"{number}@mail.example", titles=["Sturdy red kettle"])
                for number in range(first, first + 12)
            ]
            delay = timedelta(seconds=seconds)
            receipts = await abandoned_cart_reminder.dispatch_many(carts, delay=delay)
            self._expect("delayed reminders", *receipts)
        paid = Cart(order_id=5000, email="5000@mail.example", titles=["Silk navy scarf"])
        receipt = await abandoned_cart_reminder.dispatch(paid, delay=timedelta(seconds=1))
        self._expect("delayed, paid meanwhile", receipt)

    async def _from_elsewhere(self) -> None:
        receipt = await asyncio.to_thread(send_receipt.dispatch_sync, order(1200))
        self._expect("from a thread", receipt)
        # As a Node service sends jobs: with BullMQ's own client, and nobody who checks types.
        queue = self.app.queue("default").live
        right = await queue.add("send-receipt", {"order_id": 1201, "email": "n@node.example"}, {})
        wrong = await queue.add("send-receipt", {"order_id": "next", "email": None}, {})
        self.expected += [
            Expected("from another service", "default", str(right.id), Outcome()),
            Expected(
                "wrong data from another service",
                "default",
                str(wrong.id),
                Outcome(JobState.FAILED, reason="order_id: Input should be a valid integer"),
            ),
        ]


def order(number: int) -> Order:
    """Make up an order."""
    items = [Item(title="Folding green lamp", quantity=1 + number % 3, cents=1990)]
    return Order(order_id=number, email=f"{number}@mail.example", items=items)


def charge(number: int, card: str = GOOD_CARD) -> Charge:
    """Make up what an order costs."""
    return Charge(order_id=number, cents=990 + number, card=card)

"""The services of the default queue, called as the plain functions they are."""

from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path

import pytest

from bullq import GiveUp
from examples.shop.gateway import GatewayBusy
from examples.shop.jobs.default.charge_card_service import Charge, Payment, charge_card
from examples.shop.jobs.default.render_invoice_service import render_invoice
from examples.shop.jobs.default.send_receipt_service import Item, Order, Sent, send_receipt
from examples.shop.payments import is_paid
from tests.integration.shop.attempt import Attempt

ORDER = Order(
    order_id=7,
    email="ada@mail.example",
    items=[Item(title="Tèapot", quantity=2, cents=1250), Item(title="Lamp", cents=1_000_000)],
)


async def test_a_receipt_is_an_email_in_the_mail_folder(shop_data: Path) -> None:
    ctx = Attempt()
    assert await send_receipt(ORDER, ctx) == Sent(message_id="<receipt-7@shop.example>")
    [file] = (shop_data / "mail").iterdir()
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert message["To"] == "ada@mail.example"
    assert message["Subject"] == "Your receipt for order 7"
    assert message["Message-ID"] == "<receipt-7@shop.example>"
    assert message["Date"].datetime.tzinfo is not None
    text = message.get_content().replace("\r\n", "\n")
    assert text.startswith("Hello,")
    assert "2 x Tèapot\n1 x Lamp\n" in text
    assert "Total: 10,025.00 EUR\n" in text
    assert ctx.rows == ["receipt sent to ada@mail.example"]


async def test_a_receipt_is_sent_once_per_order(shop_data: Path) -> None:
    await send_receipt(ORDER, Attempt())
    file = shop_data / "mail" / "receipt-7.eml"
    first = file.read_bytes(), file.stat().st_ino
    await send_receipt(ORDER.model_copy(update={"email": "eve@mail.example"}), Attempt(2))
    assert (file.read_bytes(), file.stat().st_ino) == first
    assert [one.name for one in file.parent.iterdir()] == ["receipt-7.eml"], "no drafts are left"


async def test_an_order_as_short_as_another_service_sends_it_is_enough(shop_data: Path) -> None:
    await send_receipt(send_receipt.payload.decode('{"order_id": 8, "email": "n@x"}'), Attempt())
    assert (shop_data / "mail" / "receipt-8.eml").exists()


async def test_a_line_break_in_an_address_adds_no_header(shop_data: Path) -> None:
    order = Order(order_id=9, email="a@b.example\r\nBcc: all@b.example")
    with pytest.raises(ValueError, match="linefeed or carriage return"):
        await send_receipt(order, Attempt())
    assert not (shop_data / "mail").exists()


async def test_a_paid_order_is_charged_once_however_often_the_job_runs(shop_data: Path) -> None:
    charge = Charge(order_id=10, cents=999, card="4242424242424242")
    assert await charge_card(charge, Attempt()) == Payment("pay-10", 999)
    assert await charge_card(charge, Attempt(2)) == Payment("pay-10", 999)
    assert is_paid(10)


async def test_a_busy_gateway_is_worth_another_attempt(shop_data: Path) -> None:
    charge = Charge(order_id=17, cents=999, card="4242424242424242")
    with pytest.raises(GatewayBusy, match="order 17"):
        await charge_card(charge, Attempt(1))
    assert not is_paid(17)
    assert await charge_card(charge, Attempt(2)) == Payment("pay-17", 999)


@pytest.mark.parametrize("attempt", [1, 2, 3])
async def test_some_orders_never_get_through(shop_data: Path, attempt: int) -> None:
    with pytest.raises(GatewayBusy):
        await charge_card(Charge(order_id=199, cents=1, card="42"), Attempt(attempt))


async def test_a_declined_card_is_given_up(shop_data: Path) -> None:
    with pytest.raises(GiveUp, match="ending in 0002 declined"):
        await charge_card(Charge(order_id=1, cents=1, card="4000000000000002"), Attempt())
    assert not is_paid(1)


def test_an_invoice_is_a_page_that_shows_names_as_they_are(shop_data: Path) -> None:
    name = render_invoice({"order_id": 3, "customer": "Bits & <Bytes>", "cents": 123_456})
    page = (shop_data / "invoices" / name).read_text(encoding="utf-8")
    assert "<h1>Invoice 3</h1>" in page
    assert "Bits &amp; &lt;Bytes&gt;" in page
    assert "1,234.56 EUR" in page

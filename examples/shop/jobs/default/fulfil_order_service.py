"""See an order through, over days: pay, invoice, wait for the parcel, and ask how it was.

The warehouse tells when the parcel is packed, by the id under which the order was dispatched:

    await fulfil_order.dispatch(purchase, id="order-7")
    await fulfil_order.send_event("order-7", "packed", Parcel(tracking="X1"))
"""

from datetime import timedelta

from pydantic import BaseModel

from bullq import Context, GiveUp, StepFailed, job
from examples.shop import stock
from examples.shop.jobs.default.charge_card_service import Charge, charge_card
from examples.shop.jobs.default.render_invoice_service import Invoice, render_invoice
from examples.shop.jobs.default.send_receipt_service import Order, send_receipt
from examples.shop.mailbox import thank


class Purchase(BaseModel):
    order: Order
    card: str
    cents: int
    skus: list[str]
    ask_after: timedelta = timedelta(days=3)


class Parcel(BaseModel):
    tracking: str


class Fulfilled(BaseModel):
    payment_id: str
    invoice: str
    tracking: str | None


@job(attempts=5)
async def fulfil_order(purchase: Purchase, ctx: Context) -> Fulfilled:
    order, number = purchase.order, purchase.order.order_id
    await ctx.run("reserve", stock.reserve, number, purchase.skus)
    charge = Charge(number, purchase.cents, purchase.card)
    try:
        payment = await ctx.invoke("charge", charge_card, charge)
    except StepFailed as failed:
        await ctx.run("release", stock.release, number)
        raise GiveUp(f"not paid: {failed.message}") from failed
    bill = Invoice(order_id=number, customer=order.email, cents=purchase.cents)
    invoice, _ = await ctx.parallel(
        lambda: ctx.invoke("invoice", render_invoice, bill),
        lambda: ctx.dispatch("receipt", send_receipt, order),
    )
    parcel = await ctx.wait_for("parcel", "packed", timedelta(days=7), Parcel)
    if parcel is not None:
        await ctx.sleep("let it arrive", purchase.ask_after)
        # A customer of several orders is asked once.
        await ctx.once(f"thanks {order.email}", thank, number, order.email, parcel.tracking)
    tracking = None if parcel is None else parcel.tracking
    return Fulfilled(payment_id=payment.payment_id, invoice=invoice, tracking=tracking)

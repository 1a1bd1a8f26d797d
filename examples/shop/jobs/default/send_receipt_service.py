"""Email a customer the receipt of an order."""

import asyncio

from pydantic import BaseModel, Field

from bullq import Context, job
from examples.shop.mailbox import compose, deliver
from examples.shop.money import euros


class Item(BaseModel):
    title: str
    quantity: int = Field(default=1, ge=1)
    cents: int = Field(ge=0)


class Order(BaseModel):
    order_id: int
    email: str
    items: list[Item] = []


class Sent(BaseModel):
    message_id: str


@job(attempts=5)
async def send_receipt(order: Order, ctx: Context) -> Sent:
    message = compose(
        "receipt.txt",
        order.email,
        order_id=order.order_id,
        lines="\n".join(f"{item.quantity} x {item.title}" for item in order.items),
        total=euros(sum(item.quantity * item.cents for item in order.items)),
    )
    # A job may run more than once, after a crash for example. The key makes it one email.
    message_id = await asyncio.to_thread(deliver, message, f"receipt-{order.order_id}")
    ctx.log(f"receipt sent to {order.email}")
    return Sent(message_id=message_id)

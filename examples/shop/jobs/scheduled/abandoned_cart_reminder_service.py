"""Remind customers of carts they have left.

Dispatched when a cart is filled, to run hours later:

    await abandoned_cart_reminder.dispatch(cart, delay=timedelta(hours=4))
"""

import asyncio

from pydantic import BaseModel

from bullq import job
from examples.shop.mailbox import compose, deliver
from examples.shop.payments import is_paid


class Cart(BaseModel):
    order_id: int
    email: str
    titles: list[str]


class Reminded(BaseModel):
    message_id: str | None


@job
async def abandoned_cart_reminder(cart: Cart) -> Reminded:
    # Much may have happened since the job was dispatched: what counts is looked up now.
    if await asyncio.to_thread(is_paid, cart.order_id):
        return Reminded(message_id=None)
    message = compose("reminder.txt", cart.email, lines="\n".join(cart.titles))
    message_id = await asyncio.to_thread(deliver, message, f"reminder-{cart.order_id}")
    return Reminded(message_id=message_id)

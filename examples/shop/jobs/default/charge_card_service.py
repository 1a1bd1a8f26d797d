"""Charge a customer's card through the payment gateway."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from bullq import Backoff, Context, GiveUp, job
from examples.shop import gateway
from examples.shop.payments import record_payment


@dataclass
class Charge:
    order_id: int
    cents: int
    card: str


@dataclass
class Payment:
    payment_id: str
    cents: int


# A busy gateway raises, so the attempt fails, and the next one follows after 0.5 s, then 1 s.
@job(attempts=3, backoff=Backoff.exponential(timedelta(milliseconds=500)))
async def charge_card(charge: Charge, ctx: Context) -> Payment:
    ctx.log(f"attempt {ctx.job_attempt} of {ctx.max_attempts}")
    try:
        payment_id = await gateway.charge(charge.order_id, charge.card, attempt=ctx.job_attempt)
    except gateway.CardDeclined as error:
        raise GiveUp(str(error)) from error  # no other attempt would change the bank's mind
    await asyncio.to_thread(record_payment, charge.order_id, payment_id, charge.cents)
    return Payment(payment_id, charge.cents)

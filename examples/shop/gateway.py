"""A payment gateway, simulated: its answer depends on the card, the order and the attempt only."""

from __future__ import annotations

import asyncio

LATENCY = 0.02
"""Seconds until the gateway answers."""


class GatewayBusy(Exception):  # noqa: N818 - a state of the world, named as people say it
    """The gateway cannot answer now."""


class CardDeclined(Exception):  # noqa: N818 - same
    """The bank has said no, and will say so again."""


async def charge(order_id: int, card: str, *, attempt: int) -> str:
    """Take the money for an order and give the payment's id.

    The order's id makes this safe to repeat: one order is one payment. Cards that begin with
    4000 are declined. Orders that end in 7 meet a busy gateway at first, those in 99 always.
    """
    await asyncio.sleep(LATENCY)
    if card.startswith("4000"):
        raise CardDeclined(f"card ending in {card[-4:]} declined")
    if order_id % 100 == 99 or (order_id % 10 == 7 and attempt == 1):  # noqa: PLR2004
        raise GatewayBusy(f"gateway busy, order {order_id} not charged")
    return f"pay-{order_id}"

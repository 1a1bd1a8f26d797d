"""The payments that the shop has received."""

from __future__ import annotations

import time

from examples.shop.database import transaction


def record_payment(order_id: int, payment_id: str, cents: int) -> None:
    """Note a payment; noting it again changes nothing."""
    with transaction() as database:
        database.execute(
            "INSERT OR IGNORE INTO payments VALUES (?, ?, ?, ?)",
            (order_id, payment_id, cents, time.time()),
        )


def is_paid(order_id: int) -> bool:
    """Tell whether an order has been paid."""
    with transaction() as database:
        found = database.execute("SELECT 1 FROM payments WHERE order_id = ?", (order_id,))
        return found.fetchone() is not None


def paid_between(start: float, end: float) -> tuple[int, int]:
    """Give how many orders were paid from *start* to *end* (epoch seconds), and their cents."""
    with transaction() as database:
        orders, cents = database.execute(
            "SELECT count(*), coalesce(sum(cents), 0) FROM payments "
            "WHERE paid_at >= ? AND paid_at < ?",
            (start, end),
        ).fetchone()
    return orders, cents

"""What is put aside for orders that are under way."""

from __future__ import annotations

from collections.abc import Sequence

from examples.shop.database import transaction


def reserve(order_id: int, skus: Sequence[str]) -> int:
    """Put products aside and tell how many the order has; doing it again changes nothing."""
    with transaction() as database:
        database.executemany(
            "INSERT OR IGNORE INTO reservations VALUES (?, ?)", [(order_id, sku) for sku in skus]
        )
    return len(reserved(order_id))


def release(order_id: int) -> None:
    """Put products back."""
    with transaction() as database:
        database.execute("DELETE FROM reservations WHERE order_id = ?", (order_id,))


def reserved(order_id: int) -> list[str]:
    """Tell which products are put aside for an order."""
    with transaction() as database:
        rows = database.execute("SELECT sku FROM reservations WHERE order_id = ?", (order_id,))
        return [sku for (sku,) in rows]

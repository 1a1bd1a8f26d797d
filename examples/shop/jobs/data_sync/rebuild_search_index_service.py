"""Build the index anew by which customers find products."""

from dataclasses import dataclass

from bullq import job
from examples.shop.database import transaction


@dataclass
class Index:
    supplier: str | None = None
    """Whose products to index; None for everybody's."""


@job
def rebuild_search_index(index: Index) -> int:
    # One transaction: customers who search meanwhile see the old index, never an empty one.
    with transaction() as database:
        products = database.execute(
            "SELECT sku, title FROM products WHERE ? IN (supplier, '*')", (index.supplier or "*",)
        ).fetchall()
        words = {(word, sku) for sku, title in products for word in title.lower().split()}
        database.executemany("DELETE FROM search_words WHERE sku = ?", [(p[0],) for p in products])
        database.executemany("INSERT INTO search_words VALUES (?, ?)", sorted(words))
    return len(words)

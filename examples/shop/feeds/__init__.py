"""What suppliers send: one CSV file each."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice

Product = tuple[str, str, int, int]
"""A supplier's row: SKU, title, price in cents, pieces in stock."""


def pages(supplier: str, size: int) -> Iterator[list[Product]]:
    """Read a feed page by page; raises FileNotFoundError where the supplier sends none."""
    feed = files(__name__).joinpath(f"{supplier}.csv")
    with feed.open("r", encoding="utf-8") as lines:
        rows = (
            (row["sku"], row["title"], int(row["cents"]), int(row["stock"]))
            for row in csv.DictReader(lines)
        )
        while page := list(islice(rows, size)):
            yield page

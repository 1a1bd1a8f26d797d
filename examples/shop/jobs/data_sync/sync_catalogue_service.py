"""Bring a supplier's feed into the catalogue, page by page."""

from datetime import timedelta

from pydantic import BaseModel, Field

from bullq import Context, GiveUp, job
from examples.shop.database import transaction
from examples.shop.feeds import Product, pages


class Feed(BaseModel):
    supplier: str = Field(default="acme", pattern="^[a-z]+$")
    page_size: int = Field(default=50, ge=1)


class Synced(BaseModel):
    products: int
    pages: int


@job(timeout=timedelta(minutes=10))
def sync_catalogue(feed: Feed, ctx: Context) -> Synced:
    synced = Synced(products=0, pages=0)
    try:
        for page in pages(feed.supplier, feed.page_size):
            if ctx.cancelled:  # a thread cannot be stopped from outside: a long job looks itself
                raise RuntimeError("stopped between two pages; the next run begins anew")
            upsert(feed.supplier, page)
            synced.products += len(page)
            synced.pages += 1
            ctx.progress({"pages": synced.pages, "products": synced.products})
            ctx.log(f"page {synced.pages}: {len(page)} products")
    except FileNotFoundError as error:
        raise GiveUp(f"no feed of the supplier {feed.supplier!r}") from error
    return synced


def upsert(supplier: str, page: list[Product]) -> None:
    """Write one page; writing it again changes nothing, so that a repeated run does no harm."""
    with transaction() as database:
        database.executemany(
            "INSERT INTO products (sku, supplier, title, cents, stock) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (sku) DO UPDATE SET "
            "title = excluded.title, cents = excluded.cents, stock = excluded.stock",
            [(sku, supplier, title, cents, stock) for sku, title, cents, stock in page],
        )

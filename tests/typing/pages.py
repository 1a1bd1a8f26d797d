"""Make the Python of README and docs one program a page, for a type checker to read."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "shop" / "README.md",
]

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Pages leave things out: bodies, their ends, the types of tests.
_LEFT_OUT = "empty-body,return,no-untyped-def,import-untyped"
_HEAD = f'# mypy: disable-error-code="{_LEFT_OUT}"\n'

_ORDERS = """
from datetime import UTC, datetime, timedelta
from typing import Any
from pydantic import BaseModel, Field
from bullq import (
    Backoff, Bullq, Context, DispatchError, GiveUp, JobState, RemoteJob, StepFailed, job,
)
from bullq.testing import Inline
class Order(BaseModel):
    order_id: int
    customer_id: int = 0
    email: str
class Sent(BaseModel):
    message_id: str
async def mail(to: str, *texts: str | bytes) -> str: ...
app: Bullq
id: str
"""
_RECEIPT = """
@job
async def send_receipt(order: Order) -> Sent: ...
"""
GRANTED = {
    "README.md": _ORDERS
    + """
@job
async def charge_card(order: Any) -> None: ...
class Page(BaseModel):
    sku: str
class Refreshed(BaseModel):
    etag: str
""",
    "dispatch.md": _ORDERS
    + _RECEIPT
    + """
order: Order
@job
async def close_account(account: Order) -> None: ...
account: Order
""",
    "engines.md": _ORDERS + "def render_pdf(order_id: int) -> str: ...\n",
    "example.md": _ORDERS
    + _RECEIPT
    + """
import pytest
from pathlib import Path
from textwrap import indent
from collections.abc import Callable
from examples.shop import gateway, stock
from examples.shop.feeds import pages
from examples.shop.mailbox import thank
from examples.shop.jobs.default.charge_card_service import Charge, Payment
from examples.shop.jobs.default.fulfil_order_service import Fulfilled, Parcel, Purchase
from examples.shop.jobs.default.render_invoice_service import Invoice, render_invoice
from examples.shop.jobs.scheduled.abandoned_cart_reminder_service import (
    Cart, abandoned_cart_reminder,
)
from examples.shop.jobs.storefront.refresh_page_service import Page, Refreshed
class Synced(BaseModel):
    products: int
    pages: int
upsert: Callable[[str, list[Any]], None]
Attempt: Callable[[], Context]
orders: list[Order]
invoice: Invoice
cart: Cart
charge: Charge
purchase: Purchase
number: int
order: Order
""",
    "queues.md": _ORDERS
    + """
class Page(BaseModel):
    number: int
class Text(BaseModel):
    words: int
class Book(BaseModel):
    title: str
class Bound(BaseModel):
    pages: int
class Cover(BaseModel): ...
class Motif(BaseModel): ...
@job
async def paint(motif: Motif) -> None: ...
class Report(BaseModel):
    country: str
@job
async def bind_cover(cover: Cover) -> None: ...
@job
async def send_report(report: Report) -> None: ...
yesterday: datetime
""",
    "reliability.md": _ORDERS + _RECEIPT + "orders: list[Order]\n",
    "web.md": _ORDERS,
}
"""What the blocks of a page use without saying so: what a reader knows from elsewhere."""


def blocks(page: Path) -> list[tuple[int, str]]:
    """Give the Python blocks of a page, and the line on which each begins."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)) + 1, found[1]) for found in _BLOCK.finditer(text)]


def program(page: Path) -> str:
    """Give a page's blocks as one program: what is on a later one may use what an earlier made."""
    lines = [f"{_HEAD}{GRANTED.get(page.name, '')}", "async def page() -> None:"]
    for number, block in blocks(page):
        lines.append(f"    # line {number}\n{indent(block, '    ')}")
    return "\n".join(lines)


def place(source: str, line: int) -> str:
    """Tell which line of the page stands on this *line* of its program."""
    above = source.splitlines()[:line]
    for distance, text in enumerate(reversed(above)):
        if found := re.fullmatch(r"    # line (\d+)", text):
            return f"line {int(found[1]) + distance - 1}"
    return "what is taken for granted"

"""Write the invoice of an order as an HTML file."""

from html import escape
from string import Template

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from bullq import job
from examples.shop.folder import data_folder, write_whole
from examples.shop.money import euros
from examples.shop.templates import read_template


class Invoice(TypedDict):
    order_id: int
    customer: str
    cents: int


# An ordinary function: it runs in a thread and may block. It needs no context and takes none.
@job
def render_invoice(invoice: Invoice) -> str:
    page = Template(read_template("invoice.html")).substitute(
        order_id=invoice["order_id"],
        customer=escape(invoice["customer"]),
        amount=euros(invoice["cents"]),
    )
    file = data_folder("invoices") / f"{invoice['order_id']}.html"
    write_whole(file, page.encode())
    return file.name

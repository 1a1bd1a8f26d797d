"""List the products that will soon be sold out."""

from datetime import timedelta
from typing import NotRequired

from typing_extensions import TypedDict

from bullq import Context, job
from examples.shop.database import transaction
from examples.shop.folder import data_folder, write_whole


class Watch(TypedDict):
    fewer_than: NotRequired[int]  # a recurring job gets no data


# Every two seconds is for show; a real shop would take minutes.
@job(every=timedelta(seconds=2))
def watch_stock(watch: Watch, ctx: Context) -> int:
    with transaction() as database:
        scarce = database.execute(
            "SELECT sku, stock, title FROM products WHERE stock < ? ORDER BY stock, sku",
            (watch.get("fewer_than", 3),),
        ).fetchall()
    lines = [f"{sku}  {stock:3}  {title}\n" for sku, stock, title in scarce]
    write_whole(data_folder("reports") / "low-stock.txt", "".join(lines).encode())
    ctx.log(f"{len(scarce)} products are scarce")
    return len(scarce)

"""Report what was sold on a day, every night for the day before."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from bullq import job
from examples.shop.folder import data_folder, write_whole
from examples.shop.money import euros
from examples.shop.payments import paid_between

ZONE = "Europe/Berlin"


class Day(BaseModel):
    day: date | None = None  # a recurring job gets no data, so every field has a default


class Report(BaseModel):
    day: date
    orders: int
    cents: int


# The time zone is the shop's, so that the report comes at half past two in summer, too.
@job(cron="30 2 * * *", tz=ZONE)
def nightly_report(wanted: Day) -> Report:
    zone = ZoneInfo(ZONE)
    day = wanted.day or datetime.now(zone).date() - timedelta(days=1)
    start = datetime.combine(day, time(), zone)
    end = datetime.combine(day + timedelta(days=1), time(), zone)
    orders, cents = paid_between(start.timestamp(), end.timestamp())
    text = f"{day:%A, %d %B %Y}\n{orders} orders paid, {euros(cents)}\n"
    write_whole(data_folder("reports") / f"sales-{day}.txt", text.encode())
    return Report(day=day, orders=orders, cents=cents)

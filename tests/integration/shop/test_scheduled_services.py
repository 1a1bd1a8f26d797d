"""The services of the scheduled queue: called as plain functions, and once by a worker."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from examples.shop import payments
from examples.shop.jobs.data_sync.sync_catalogue_service import Feed, sync_catalogue
from examples.shop.jobs.scheduled.abandoned_cart_reminder_service import (
    Cart,
    Reminded,
    abandoned_cart_reminder,
)
from examples.shop.jobs.scheduled.nightly_report_service import ZONE, Day, Report, nightly_report
from examples.shop.jobs.scheduled.watch_stock_service import watch_stock
from tests.conftest import AppFactory
from tests.integration.shop.attempt import Attempt
from tests.support.workers import running_worker

CART = Cart(order_id=5, email="ada@mail.example", titles=["Small lamp", "Silk cap"])


def paid(monkeypatch: pytest.MonkeyPatch, order_id: int, cents: int, at: datetime) -> None:
    monkeypatch.setattr(payments.time, "time", at.timestamp)
    payments.record_payment(order_id, f"pay-{order_id}", cents)


def test_the_report_counts_the_day_of_the_shop_s_time_zone(
    shop_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clocks go back that night: the day has 25 hours.
    zone = ZoneInfo(ZONE)
    paid(monkeypatch, 1, 9_999_999, datetime(2026, 10, 24, 23, 59, 59, tzinfo=zone))
    paid(monkeypatch, 2, 100, datetime(2026, 10, 25, tzinfo=zone))
    paid(monkeypatch, 3, 200, datetime(2026, 10, 25, 23, 59, 59, tzinfo=zone))
    paid(monkeypatch, 4, 9_999_999, datetime(2026, 10, 26, tzinfo=zone))
    day = date(2026, 10, 25)
    assert nightly_report(Day(day=day)) == Report(day=day, orders=2, cents=300)
    text = (shop_data / "reports" / "sales-2026-10-25.txt").read_text(encoding="utf-8")
    assert text == "Sunday, 25 October 2026\n2 orders paid, 3.00 EUR\n"


def test_the_nightly_run_reports_the_day_before(shop_data: Path) -> None:
    today = datetime.now(ZoneInfo(ZONE)).date()
    report = nightly_report(nightly_report.payload.decode("{}"))
    assert report.day in (today - timedelta(days=1), today)  # midnight may pass meanwhile
    assert report.orders == 0


async def test_a_cart_left_alone_brings_one_reminder(shop_data: Path) -> None:
    reminded = Reminded(message_id="<reminder-5@shop.example>")
    assert await abandoned_cart_reminder(CART) == reminded
    assert await abandoned_cart_reminder(CART) == reminded
    [file] = (shop_data / "mail").iterdir()
    assert b"Small lamp\r\nSilk cap\r\n" in file.read_bytes()


async def test_a_cart_paid_meanwhile_brings_none(shop_data: Path) -> None:
    payments.record_payment(5, "pay-5", 100)
    assert await abandoned_cart_reminder(CART) == Reminded(message_id=None)
    assert not (shop_data / "mail").exists()


def test_the_stock_list_names_what_is_scarce_the_scarcest_first(shop_data: Path) -> None:
    sync_catalogue(Feed(), Attempt())
    ctx = Attempt()
    few, more = watch_stock({}, ctx), watch_stock({"fewer_than": 9}, ctx)
    assert 0 < few < more < 240
    assert ctx.rows == [f"{few} products are scarce", f"{more} products are scarce"]
    lines = (shop_data / "reports" / "low-stock.txt").read_text(encoding="utf-8").splitlines()
    stocks = [int(line.split()[1]) for line in lines]
    assert len(stocks) == more
    assert stocks == sorted(stocks)
    assert max(stocks) < 9


async def test_a_worker_makes_the_schedules_and_runs_what_is_due(
    shop_data: Path, make_app: AppFactory
) -> None:
    app = make_app(watch_stock, nightly_report)
    async with running_worker(app, "scheduled") as (_, recorder):
        made = await recorder.wait_for("schedule_changed", 2)
        await recorder.wait_for("job_completed")
    assert {told.arguments[1:] for told in made} == {
        ("bullq-watch-stock", "made"),
        ("bullq-nightly-report", "made"),
    }
    assert (shop_data / "reports" / "low-stock.txt").exists()

    async with running_worker(app, "scheduled") as (_, recorder):
        await recorder.wait_for("worker_started")
    assert recorder.all("schedule_changed") == [], "another start moves no run"

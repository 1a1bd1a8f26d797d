from __future__ import annotations

from pathlib import Path

import httpx

from bullq import Bullq
from bullq.settings import Settings
from examples.shop.jobs.default.send_receipt_service import send_receipt
from examples.shop.web import create
from tests.conftest import AppFactory
from tests.support.workers import running_worker

ORDER = {"order_id": 7, "email": "ada@shop.example", "items": [{"title": "lamp", "cents": 1200}]}


async def ask(app: Bullq) -> httpx.Response:
    web = create(app)
    transport = httpx.ASGITransport(web)
    async with (
        web.router.lifespan_context(web),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):
        first = await client.post("/orders", json=ORDER)
        again = await client.post("/orders", json=ORDER)
    assert first.json().get("job") == again.json().get("job")
    return first


async def test_an_order_is_taken_once(make_app: AppFactory, shop_data: Path) -> None:
    worker = make_app(send_receipt)
    async with running_worker(worker, "default") as (_, recorder):
        taken = await ask(make_app(send_receipt))
        assert (taken.status_code, taken.json()["engine"]) == (202, "bullmq")
        await recorder.wait_for("job_completed")
    assert recorder.counts["job_completed"] == 1


async def test_without_an_engine_an_order_is_refused_or_kept(tmp_path: Path) -> None:
    away = Settings(REDIS_URL="redis://127.0.0.1:1")
    refused = await ask(Bullq(jobs=[send_receipt], settings=away))
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    kept = await ask(
        Bullq(
            jobs=[send_receipt],
            settings=Settings(REDIS_URL="redis://127.0.0.1:1", BULLQ_OUTBOX=tmp_path / "box.db"),
        )
    )
    assert (kept.status_code, kept.json()["engine"]) == (202, "outbox")
    assert kept.json()["why"].startswith("Redis could not be reached")

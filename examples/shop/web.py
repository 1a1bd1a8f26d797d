"""The shop's web side: it takes orders and hands their jobs over, and Inngest asks it for jobs.

uvicorn --factory examples.shop.web:create
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException

from bullq import Bullq, DispatchInDoubt, DispatchUnavailable, StoreUnavailable
from bullq.web import mount
from examples.shop.jobs.default.send_receipt_service import Order, send_receipt


def create(app: Bullq | None = None, *, serves_inngest: bool = False) -> FastAPI:
    """Make the web application. The endpoint for Inngest needs its keys, or INNGEST_DEV."""
    app = app or Bullq(jobs="examples.shop.jobs")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with app.relaying():  # what an outage has left in the outbox
            yield
        await app.aclose()

    web = FastAPI(lifespan=lifespan)
    web.post("/orders", status_code=202)(take_order)
    if serves_inngest:
        mount(web, app)
    return web


async def take_order(order: Order) -> dict[str, Any]:
    """Send the receipt of an order, once, however often the customer's browser asks for it."""
    try:
        receipt = await send_receipt.dispatch(order, id=f"receipt-{order.order_id}")
    except DispatchInDoubt as error:
        # It may be on its way: asking again under the same id does no harm, and tells.
        raise HTTPException(503, f"ask again: {error.job_id}", {"Retry-After": "1"}) from error
    except (DispatchUnavailable, StoreUnavailable) as error:
        raise HTTPException(503, "not taken", {"Retry-After": "5"}) from error
    reason = receipt.reason and receipt.reason.sentence
    return {"job": receipt.id, "engine": receipt.engine, "state": receipt.state, "why": reason}

"""The example shop in processes of a drill: its web side by uvicorn, and `... worker`.

Both write each receipt that they send into the history that BULLQ_TEST_HISTORY names.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from email.message import EmailMessage
from pathlib import Path

from fastapi import FastAPI

from bullq import Bullq, Observer
from examples.shop import web
from examples.shop.jobs.default import send_receipt_service
from tests.drills.history import FINISHED, STARTED, History
from tests.drills.variants import broken

BROKEN = contextlib.ExitStack()  # for as long as the process lives


def write_deliveries(engine: str) -> None:
    """Write down each receipt that this process delivers for an *engine*."""
    history = History(Path(os.environ["BULLQ_TEST_HISTORY"]))
    deliver = send_receipt_service.deliver

    def written(message: EmailMessage, key: str) -> str:
        history.note(STARTED, key, engine)
        message_id = deliver(message, key)
        history.note(FINISHED, key, engine)
        return message_id

    send_receipt_service.deliver = written


def create() -> FastAPI:
    """Make the web side, which Inngest asks for jobs, too; BULLQ_TEST_VARIANT breaks it."""
    BROKEN.enter_context(broken(os.environ["BULLQ_TEST_VARIANT"]))
    write_deliveries("inngest")
    return web.create(serves_inngest=True)


async def work() -> None:
    """Run a worker of the shop until SIGTERM."""
    write_deliveries("bullmq")
    app = Bullq(jobs="examples.shop.jobs")
    worker = app.worker("default", Observer())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    await app.aclose()


if __name__ == "__main__":
    asyncio.run(work())

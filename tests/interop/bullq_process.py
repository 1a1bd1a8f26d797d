"""A bullq worker in a process of its own, which a test can kill: `... URL PREFIX`."""

from __future__ import annotations

import asyncio
import sys

from bullq import Bullq, Observer, QueueSpec
from bullq.settings import Settings
from tests.interop.play import holding

SPEC = QueueSpec(name="default", lock_duration=1, stalled_interval=1)


async def main(url: str, prefix: str) -> None:
    """Begin whatever comes, and never end it."""
    settings = Settings(REDIS_URL=url, BULLQ_PREFIX=prefix)
    app = Bullq(jobs=[holding()], queues=[SPEC], settings=settings)
    await app.worker(SPEC.name, Observer()).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

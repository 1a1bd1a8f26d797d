"""Run the shop together with its Node side: each dispatches what the other runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

from bullq.errors import BullqError
from bullq.loading import load_app
from examples.shop.demo.workers import Workers, WorkerTrouble, set_environment
from examples.shop.jobs.storefront.refresh_page_service import Page, refresh_page

COMPILED = Path(__file__).parents[1] / "node" / "dist"
DEADLINE = 15.0
"""Seconds for each step; they take two altogether."""


def main() -> int:
    """Run it in a folder of its own, and give the exit code."""
    if shutil.which("node") is None or not (COMPILED / "storefront.js").exists():
        print("The Node side is not compiled; 'make shop-node' does it and runs this.")  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory(prefix="bullq-shop-", ignore_cleanup_errors=True) as folder:
        home = Path.cwd()
        set_environment(Path(folder))
        try:
            return asyncio.run(run(Path(folder)))
        finally:
            os.chdir(home)


async def run(folder: Path) -> int:
    """Start a server and the workers of both sides, let each side dispatch, stop it all."""
    app = load_app()
    os.environ["REDIS_URL"] = app.store.url  # for Node, which has no embedded server
    workers = Workers(["default"], folder)
    try:
        await workers.start(app)
        async with node("storefront") as storefront:
            await line_of(storefront)
            say("Node dispatches to Python:")
            async with node("checkout") as checkout:
                while told := await line_of(checkout):
                    say(f"  {told}")
            say("Python dispatches to Node:")
            receipt = await refresh_page.dispatch(Page(sku="lamp-7", locale="de"))
            page = await receipt.result(timeout=DEADLINE)
            say(f"  page refreshed: {page.path}, {page.bytes} bytes, etag {page.etag}")
            storefront.send_signal(signal.SIGTERM)
    except (BullqError, WorkerTrouble, NodeTrouble, TimeoutError) as error:
        say(f"It could not be carried out: {str(error) or 'time was up'}\n{workers.last_words()}")
        return 1
    finally:
        problems = await workers.stop()
        await app.aclose()
    say("\n".join(problems) or "Both sides are stopped.")
    return 1 if problems else 0


class NodeTrouble(Exception):  # noqa: N818 - tells people what is the matter
    """A Node program has failed."""


@contextlib.asynccontextmanager
async def node(program: str) -> AsyncIterator[Process]:
    """Run a program of the Node side; it has to end well before the block does."""
    process = await asyncio.create_subprocess_exec("node", COMPILED / f"{program}.js", stdout=PIPE)
    try:
        yield process
        async with asyncio.timeout(DEADLINE):
            if code := await process.wait():
                raise NodeTrouble(f"{program}.js ended with exit code {code}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_of(process: Process) -> str:
    """Give the next line that a program says; nothing at its end."""
    assert process.stdout is not None  # noqa: S101 - tells the type checker that it is a pipe
    async with asyncio.timeout(DEADLINE):
        return (await process.stdout.readline()).decode().rstrip()


def say(text: str) -> None:
    """Tell whoever runs this what happens."""
    print(text, flush=True)  # noqa: T201 - a program for people


if __name__ == "__main__":
    sys.exit(main())

"""One browser and one board for all browser tests; each test has workers and an empty Redis."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, async_playwright

from bullq import Bullq
from bullq.settings import Settings
from tests.browser.application import JOBS, QUEUES, close_gates
from tests.browser.board_page import BoardPage
from tests.support.commands import Project
from tests.support.no_silent_skips import BOARD, CHROMIUM, chromium, need
from tests.support.servers import RedisServer

ROOT = Path(__file__).parents[2]
PREFIX = "board"


@pytest.fixture(scope="session")
def board_project(valkey: RedisServer) -> Project:
    """Give the application that the board shows: the tests' own, on the shared server."""
    need(BOARD)
    return Project(
        ROOT,
        {
            "REDIS_URL": valkey.url,
            "BULLQ_PREFIX": PREFIX,
            "BULLQ_APP": "tests.browser.board_app:app",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")]),
        },
    )


@pytest.fixture(scope="session")
def board_url(board_project: Project) -> Iterator[str]:
    """Run `bullq dashboard`, and see that it ends in order."""
    with board_project.running("dashboard", "--port", "0", "--json") as board:
        yield json.loads(board.wait_for('"url"'))["url"]
        board.signal(signal.SIGINT)
        assert board.wait() == 0, board.output


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[BrowserContext]:
    """Run one browser, whose pages share what they have loaded."""
    need(CHROMIUM)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-dev-shm-usage"],  # CI's user is root
        )
        yield await launched.new_context(viewport={"width": 1280, "height": 900})
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def app(valkey: RedisServer) -> AsyncIterator[Bullq]:
    """Give the application whose queues the board shows; nothing is on them."""
    settings: dict[str, Any] = {"REDIS_URL": valkey.url, "BULLQ_PREFIX": PREFIX}
    app = Bullq(jobs=JOBS, queues=QUEUES, settings=Settings(**settings))
    client = app.store.client()
    if left := [key async for key in client.scan_iter(f"{PREFIX}:*")]:
        await client.delete(*left)
    close_gates()
    yield app
    await app.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def board(browser: BrowserContext, board_url: str, app: Bullq) -> AsyncIterator[BoardPage]:
    """Give a page of the board that sees the board alone, and whose console stays clean."""
    page = await browser.new_page()
    board = BoardPage(page, board_url)
    yield board
    await page.close()
    assert board.troubles == []

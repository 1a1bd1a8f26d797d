"""How a person gets into a board that asks for a token, and what a read-only one offers."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, expect

from bullq import Bullq
from tests.browser.application import Greeting, greet
from tests.browser.board_page import BoardPage
from tests.cli.board_client import running_board
from tests.support.commands import Project

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_token_is_asked_for_once_and_read_only_offers_no_actions(
    browser: BrowserContext, board_project: Project, app: Bullq
) -> None:
    receipt = await greet.dispatch(Greeting())
    words = ("--host", "0.0.0.0", "--read-only")
    with running_board(board_project, *words) as running:
        page = await browser.new_page()
        board = BoardPage(page, f"http://127.0.0.1:{urlsplit(running.url).port}/")
        await board.open()
        await page.get_by_label("Token").fill("a guess")
        await page.get_by_role("button", name="Open").click()
        await expect(page.get_by_text("That is not the token.")).to_be_visible()
        await page.get_by_label("Token").fill(running.token)
        await page.get_by_role("button", name="Open").click()
        await expect(page.locator("main a[href*='/queue/']")).to_have_count(4)
        assert "token" not in page.url
        await board.open_queue("default", "waiting")
        card = board.card(receipt.id)
        await expect(card.get_by_role("tab", name="Data")).to_be_visible()
        await expect(card.get_by_role("list").get_by_role("button")).to_have_count(0)
        await page.close()

"""What bull-board shows of a job in steps: waiting for a child, then asleep, then woken."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from bullq import Bullq
from tests.browser.application import Hold, open_gate, ship
from tests.browser.board_page import PROMOTE, BoardPage
from tests.support.workers import running_worker

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_job_in_steps_is_shown_where_it_stands(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "data-sync") as (_, told), running_worker(app, "default"):
        receipt = await ship.dispatch(Hold(gate="ship"))
        await told.wait_for("job_parked")
        await board.open_queue("data-sync", "waiting-children")
        card = board.card(receipt.id)
        await expect(card.get_by_text("30%")).to_be_visible()
        await expect(await board.tab(card, "Logs")).to_contain_text("weighing")
        await board.open_job("data-sync", receipt.id)
        await expect(board.page.locator(".react-flow__edge")).to_have_count(1)
        nodes = board.page.locator(".react-flow__node")
        await expect(nodes.filter(has_text="hold")).to_contain_text("active")
        await expect(nodes.filter(has_text="ship")).to_contain_text("waiting-children")

        open_gate("ship")
        await told.wait_for("job_parked", 2)
        await board.open_queue("data-sync", "delayed")
        card = board.card(receipt.id)
        await expect(await board.tab(card, "Logs")).to_contain_text("through the gate")
        await board.click(PROMOTE, card)
        await board.confirm()
        await told.wait_for("job_completed")
        card = await board.open_job("data-sync", receipt.id)
        await expect(await board.tab(card, "Data")).to_contain_text("there")

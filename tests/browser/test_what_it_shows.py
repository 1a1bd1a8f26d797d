"""What bull-board shows of queues that bullq has filled and works on."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from bullq import Bullq
from tests.browser.application import (
    Greeting,
    Hold,
    Repair,
    greet,
    hold,
    open_gate,
    pack,
    repair,
)
from tests.browser.board_page import BoardPage
from tests.browser.conftest import PREFIX
from tests.support.workers import running_worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVERY_QUEUE = ["data-sync", "default", "parcels", "scheduled"]
NAME = "berlin-1"
"""What the workers are called."""


async def test_every_registered_queue_is_there_with_its_workers(
    board: BoardPage, app: Bullq
) -> None:
    async with running_worker(app, "default", name=NAME):
        await board.open()
        cards = board.page.locator("main a[href*='/queue/']")
        await expect(cards).to_have_text(EVERY_QUEUE)
        # The queues that nobody works on are told apart from the one that has a worker.
        await expect(board.page.get_by_text("No workers")).to_have_count(3)
        await board.open_queue("default")
        await board.page.get_by_role("button", name="Queue info").click()
        await board.form.get_by_role("button", name="Connected workers").click()
        await expect(board.form.get_by_text(NAME)).to_be_visible()
        await board.form.get_by_role("button", name="Default job options").click()
        await expect(board.form.get_by_text('{"count":1000,"age":86400}')).to_be_visible()
        await board.form.get_by_role("button", name="Description").click()
        await expect(board.form.get_by_text(f"prefix {PREFIX}", exact=True)).to_be_visible()


async def test_a_job_tells_who_ran_it_its_log_progress_and_result(
    board: BoardPage, app: Bullq
) -> None:
    async with running_worker(app, "default", name=NAME) as (_, told):
        receipt = await greet.dispatch(Greeting(name="Ada"))
        await told.wait_for("job_completed")
    card = await board.open_job("default", receipt.id)
    await expect(card).to_contain_text(f"by {NAME}")
    await expect(card).to_contain_text("greet")
    await expect(card.get_by_text("40%")).to_be_visible()
    await expect(await board.tab(card, "Data")).to_contain_text("Hello, Ada!")
    await expect(await board.tab(card, "Logs")).to_contain_text("greeting Ada")
    await expect(await board.tab(card, "Options")).to_contain_text("exponential")


async def test_a_failed_job_shows_the_traceback_of_every_attempt(
    board: BoardPage, app: Bullq
) -> None:
    async with running_worker(app, "default", name=NAME) as (_, told):
        receipt = await repair.dispatch(Repair())
        await told.wait_for("job_failed")
    await board.open_queue("default", "failed")
    card = board.card(receipt.id)
    await expect(card).to_contain_text("attempt #2")
    errors = await board.tab(card, "Error")
    await expect(errors).to_contain_text(
        re.compile("(Traceback.*the clock has stopped.*){2}", re.DOTALL)
    )
    await expect(errors).to_contain_text('raise ValueError("the clock has stopped")')
    await expect(errors).to_contain_text("application.py")


async def test_a_running_job_is_active_until_it_ends(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default", name=NAME) as (_, told):
        receipt = await hold.dispatch(Hold(gate="shown"))
        await told.wait_for("job_started")
        await board.open_queue("default", "active")
        card = board.card(receipt.id)
        await expect(card).to_contain_text(f"by {NAME}")
        await expect(card.get_by_text("60%")).to_be_visible()
        await expect(await board.tab(card, "Logs")).to_contain_text("waiting at the gate")
        open_gate("shown")
        await told.wait_for("job_completed")
        await board.open_queue("default", "active")
        await expect(board.page.get_by_text("No active jobs in this queue.")).to_be_visible()


async def test_a_flow_is_drawn_as_a_graph(board: BoardPage, app: Bullq) -> None:
    children = [greet.flow(Greeting(name="Bo")), hold.flow(Hold(gate="flow"))]
    flow = await pack.flow(Greeting(), children=children).dispatch()
    async with running_worker(app, "default", name=NAME) as (_, told):
        await told.wait_for("job_completed")
        card = await board.open_job("parcels", flow.id)
        await expect(card.page.locator(".react-flow__edge")).to_have_count(2)
        nodes = card.page.locator(".react-flow__node")
        await expect(nodes.filter(has_text="greet")).to_contain_text("completed")
        await expect(nodes.filter(has_text="hold")).to_contain_text("active")
        await expect(nodes.filter(has_text="pack")).to_contain_text("waiting-children")
        open_gate("flow")
        await told.wait_for("job_completed", 2)
    async with running_worker(app, "parcels", name=NAME) as (_, told):
        await told.wait_for("job_completed")


async def test_throughput_is_drawn_where_the_queue_counts_its_jobs(
    board: BoardPage, app: Bullq
) -> None:
    async with running_worker(app, "parcels", name=NAME) as (_, told):
        await pack.dispatch(Greeting())
        await told.wait_for("job_completed")
        # BullMQ adds to the curve when a minute has passed: let three have.
        counted = f"{PREFIX}:parcels:metrics:completed"
        await app.store.client().hincrby(counted, "prevTS", -180_000)
        await pack.dispatch(Greeting())
        await told.wait_for("job_completed", 2)
    await board.open_queue("parcels", "completed")
    throughput = board.page.locator("[class*=card-]").filter(has_text="Throughput")
    await expect(throughput).to_contain_text("Completed / min")
    await expect(throughput.locator("svg path").first).to_be_visible()


async def test_the_form_for_a_job_knows_the_data_it_takes(board: BoardPage) -> None:
    await board.open_queue("parcels")
    await board.begin_job()
    await expect(board.editor("jobData")).to_contain_text('"name": "world"')
    await board.write_json("jobData", {"name": 7})
    await board.page.locator(".cm-lintRange-error").hover()
    mistake = board.page.locator(".cm-tooltip")
    await expect(mistake).to_contain_text("Expected string but received number")


async def test_schedules_are_listed_with_their_runs(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "scheduled", name=NAME) as (_, told):
        await told.wait_for("job_completed")
        await board.open("job-schedulers")
        row = board.page.get_by_role("row").filter(has_text="bullq-tick")
        await expect(row).to_contain_text("scheduled")
        await expect(row).to_contain_text("every 1h")
        await expect(row).to_contain_text("in 60 minutes")

"""What is clicked in bull-board, and what a running bullq worker makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from bullq import Bullq
from tests.browser.application import Greeting, Hold, Repair, greet, hold, open_gate, repair
from tests.browser.board_page import (
    DUPLICATE,
    EDIT,
    PRIORITY,
    PROMOTE,
    REMOVE,
    RESCHEDULE,
    RETRY,
    BoardPage,
)
from tests.browser.conftest import PREFIX
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR = 3600


def key(name: str) -> str:
    return f"{PREFIX}:{name}"


async def field(app: Bullq, job_id: str, name: str, queue: str = "default") -> Any:
    """Give a field of a job's hash, None where there is none."""
    return await app.store.client().hget(key(f"{queue}:{job_id}"), name)


async def test_data_edited_and_retried_the_job_succeeds(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        receipt = await repair.dispatch(Repair())
        await told.wait_for("job_failed")
        card = await board.open_job("default", receipt.id)
        await board.click(EDIT, card)
        await board.write_json("jobData", {"mended": True})
        await board.submit("Update")
        await board.click(RETRY, card)
        await board.confirm()
        await told.wait_for("job_completed")
        assert await receipt.result(timeout=DEADLINE) == "it ticks"
        assert await field(app, receipt.id, "data") == '{"mended":true}'


async def test_all_failed_jobs_are_retried(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        for _ in range(3):
            await repair.dispatch(Repair())
        await told.wait_for("job_failed", 3)
        await board.open_queue("default", "failed")
        await board.page.get_by_role("button", name="Retry all").click()
        await board.confirm()
        await told.wait_for("job_failed", 6)


async def test_a_delayed_job_is_promoted(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        receipt = await greet.dispatch(Greeting(name="Eve"), delay=HOUR)
        await board.open_queue("default", "delayed")
        await board.click(PROMOTE, board.card(receipt.id))
        await board.confirm()
        [done] = await told.wait_for("job_completed")
        assert done.arguments[0].id == receipt.id


async def test_a_removed_job_never_runs(board: BoardPage, app: Bullq) -> None:
    removed = await greet.dispatch(Greeting(name="never"))
    kept = await greet.dispatch(Greeting(name="once"))
    await board.open_queue("default", "waiting")
    await board.click(REMOVE, board.card(removed.id))
    await board.confirm()
    await expect(board.card(removed.id)).to_have_count(0)
    async with running_worker(app, "default") as (_, told):
        await told.wait_for("job_completed")
        assert [one.arguments[0].id for one in told.all("job_started")] == [kept.id]
    assert await app.store.client().exists(key(f"default:{removed.id}")) == 0


async def test_failed_jobs_are_cleaned_while_the_worker_goes_on(
    board: BoardPage, app: Bullq
) -> None:
    async with running_worker(app, "default") as (_, told):
        failed = [await repair.dispatch(Repair()) for _ in range(3)]
        await told.wait_for("job_failed", 3)
        for receipt in failed:  # bull-board leaves alone what has ended in the last 5 seconds
            await app.store.client().zincrby(key("default:failed"), -10_000, receipt.id)
        await board.open_queue("default", "failed")
        await board.page.get_by_role("button", name="Clean all").click()
        await board.confirm()
        await expect(board.page.get_by_text("No failed jobs in this queue.")).to_be_visible()
        keys = [key(f"default:{receipt.id}") for receipt in failed]
        assert await app.store.client().exists(*keys, key("default:failed")) == 0
        await greet.dispatch(Greeting())
        await told.wait_for("job_completed")


async def test_a_paused_queue_rests_until_it_is_resumed(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        await board.open_queue("default", "waiting")
        await board.choose("Pause")
        await board.confirm()
        await expect(board.page.get_by_text("Paused").first).to_be_visible()
        receipt = await greet.dispatch(Greeting(name="patient"))
        await board.open_queue("default", "waiting")
        await expect(board.card(receipt.id)).to_be_visible()
        assert told.counts["job_started"] == 0
        resumed = await app.store.client().time()
        await board.choose("Resume")
        await board.confirm()
        await told.wait_for("job_completed")
        started = await field(app, receipt.id, "processedOn")
        assert int(started) >= resumed[0] * 1000 + resumed[1] // 1000


async def test_an_added_job_runs_with_the_queue_s_own_options(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        await board.open_queue("default")
        await board.begin_job()
        await board.form.get_by_label("Job name").fill("greet")
        await board.write_json("jobData", {"name": "Zoë"})
        await board.submit("Add")
        [done] = await told.wait_for("job_completed")
        job_id = done.arguments[0].id
        assert await field(app, job_id, "returnvalue") == '"Hello, Zoë!"'
        assert done.arguments[0].attempts == app.queues.spec("default").attempts


async def test_a_duplicate_runs_beside_the_original(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        receipt = await greet.dispatch(Greeting(name="twice"))
        await told.wait_for("job_completed")
        card = await board.open_job("default", receipt.id)
        await board.click(DUPLICATE, card)
        await board.submit("Duplicate")
        first, second = await told.wait_for("job_completed", 2)
        ids = [one.arguments[0].id for one in (first, second)]
        assert ids[0] == receipt.id != ids[1]
        assert await field(app, ids[1], "returnvalue") == '"Hello, twice!"'


async def test_a_job_given_a_better_priority_runs_first(board: BoardPage, app: Bullq) -> None:
    one = await greet.dispatch(Greeting(), priority=5)
    other = await greet.dispatch(Greeting(), priority=9)
    await board.open_queue("default", "prioritized")
    await board.click(PRIORITY, board.card(other.id))
    await board.form.get_by_label("Priority").fill("1")
    await board.submit("Save")
    async with running_worker(app, "default", concurrency=1) as (_, told):
        started = await told.wait_for("job_started", 2)
        assert [start.arguments[0].id for start in started] == [other.id, one.id]


async def test_a_rescheduled_job_runs_when_it_is_told_to(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        receipt = await greet.dispatch(Greeting(), delay=HOUR)
        card = await board.open_job("default", receipt.id)
        await board.click(RESCHEDULE, card)
        await board.form.get_by_label("Run at").fill("2026-01-01T00:00")
        await board.submit("Save")
        await told.wait_for("job_completed")


async def test_a_concurrency_of_one_runs_jobs_after_one_another(
    board: BoardPage, app: Bullq
) -> None:
    async with running_worker(app, "default") as (_, told):
        await board.open_queue("default")
        await board.choose("Set concurrency")
        await board.form.get_by_label("Concurrency").fill("1")
        await board.submit("Save")
        first = await hold.dispatch(Hold(gate="first"))
        second = await hold.dispatch(Hold(gate="second"))
        await told.wait_for("job_started")
        await board.open_queue("default", "waiting")
        await expect(board.card(second.id)).to_be_visible()
        open_gate("first")
        await told.wait_for("job_started", 2)
        open_gate("second")
        await told.wait_for("job_completed", 2)
    order = [(one.what, one.arguments[0].id) for one in told.told if one.what.startswith("job_")]
    assert order == [
        ("job_started", first.id),
        ("job_completed", first.id),
        ("job_started", second.id),
        ("job_completed", second.id),
    ]


async def test_a_rate_limit_spaces_jobs_out(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "default") as (_, told):
        await board.open_queue("default")
        await board.choose("Set rate limit")
        await board.form.get_by_label("Max jobs").fill("1")
        await board.form.get_by_label("Duration (ms)").fill("400")
        await board.submit("Save")
        receipts = [await greet.dispatch(Greeting()) for _ in range(3)]
        await told.wait_for("job_completed", 3)
        starts = sorted([int(await field(app, receipt.id, "processedOn")) for receipt in receipts])
        assert starts[2] - starts[0] >= 700


async def test_a_schedule_runs_when_asked_and_ends_when_removed(
    board: BoardPage, app: Bullq
) -> None:
    async with running_worker(app, "scheduled") as (_, told):
        await told.wait_for("job_completed")
        [pending] = await app.store.client().zrange(key("scheduled:delayed"), 0, -1)
        await board.open("job-schedulers")
        row = board.page.get_by_role("row").filter(has_text="bullq-tick")
        await row.get_by_role("button", name="Run now").click()
        await board.confirm()
        [_, asked] = await told.wait_for("job_completed", 2)
        assert asked.arguments[0].name == "tick"
        assert await app.store.client().zrange(key("scheduled:delayed"), 0, -1) == [pending]
        await row.get_by_role("button", name="Remove scheduler").click()
        await board.confirm()
        await expect(row).to_have_count(0)
        left = await app.store.client().exists(
            key("scheduled:repeat"), key("scheduled:delayed"), key(f"scheduled:{pending}")
        )
        assert left == 0


async def test_a_schedule_that_was_edited_runs_as_it_now_says(board: BoardPage, app: Bullq) -> None:
    async with running_worker(app, "scheduled") as (_, told):
        await told.wait_for("job_completed")
        await board.open("job-schedulers")
        row = board.page.get_by_role("row").filter(has_text="bullq-tick")
        await row.get_by_role("button", name="Edit schedule").click()
        await board.form.get_by_label("Interval (ms)").fill("300")
        await board.submit("Save")
        await told.wait_for("job_completed", 4)

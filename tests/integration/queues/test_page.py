"""What docs/queues.md shows runs as it is printed there."""

from __future__ import annotations

import ast
import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from bullq import Bullq, Context, Job, JobState, Observer, children_of, job
from bullq.queues.queue import JobQueue
from tests.conftest import AppFactory
from tests.integration.queues.conftest import Work
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker
from tests.typing.pages import ROOT, blocks

PAGE = ROOT / "docs" / "queues.md"


class Report(BaseModel):
    country: str


class Leaf(BaseModel):
    """Page, book, cover or motif: whatever the page's flow is made of."""

    number: int = 0
    title: str = ""


async def run(sign: str, *, begin: str = "", **known: Any) -> dict[str, Any]:
    """Run the block of the page that holds *sign*, from *begin* on; give what it has made."""
    [block] = [text for _, text in blocks(PAGE) if sign in text]
    code = compile(block[block.index(begin) :], PAGE.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"datetime": datetime, "UTC": UTC, "timedelta": timedelta, "JobState": JobState}
    names |= known
    # A block that awaits something is a coroutine.
    ran = eval(code, names)
    if inspect.isawaitable(ran):
        await ran
    return names


async def test_schedules_come_and_go(make_app: AppFactory) -> None:
    told: list[str] = []

    @job(queue="default", name="send-report")
    async def send_report(report: Report) -> None:
        told.append(report.country)

    app = make_app(send_report)
    await run("app.schedules.put", app=app, send_report=send_report, Report=Report)
    assert await app.schedules.on("default") == []
    await app.worker("default", Observer()).run(burst=True)
    assert told == ["de"]


async def test_a_queue_is_read(app: Bullq, queue: JobQueue, work: Job[Work, None]) -> None:
    failed = (await work.dispatch(Work(fails=True))).id
    await app.worker("default", Observer()).run(burst=True)
    made = await run("queue.view.counts()", app=app, id=failed)
    assert [one.id for one in await made["queue"].view.jobs(JobState.FAILED, 0, 49)] == [failed]


async def test_jobs_and_queues_are_changed(
    app: Bullq, queue: JobQueue, work: Job[Work, None]
) -> None:
    failed = (await work.dispatch(Work(fails=True))).id
    await app.worker("default", Observer()).run(burst=True)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await run("queue.jobs.retry", queue=queue, id=failed, yesterday=yesterday)
    assert [key async for key in queue.store.client().scan_iter(f"{queue.keys.key('*')}")] == []


async def test_events_are_read(app: Bullq, queue: JobQueue, work: Job[Work, None]) -> None:
    told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def hear(*words: Any) -> None:
        told.put_nowait(words)

    class FromTheBeginning:
        """The page reads from now on; a test cannot know since when."""

        def events(self) -> Any:
            return queue.events(since="0-0")

    reading = asyncio.create_task(run("match event.name", queue=FromTheBeginning(), print=hear))
    done = (await work.dispatch(Work())).id
    failed = (await work.dispatch(Work(fails=True))).id
    async with asyncio.timeout(DEADLINE), running_worker(app, "default"):
        assert sorted([await told.get(), await told.get()]) == sorted(
            [(done, None), (failed, "no")]
        )
    reading.cancel()


async def test_a_flow_gives_its_children_s_results(make_app: AppFactory) -> None:
    @job(queue="default", name="fetch-page")
    async def fetch_page(page: Leaf) -> int:
        return page.number

    @job(queue="default", name="paint")
    async def paint(motif: Leaf) -> None: ...

    @job(queue="default", name="bind-cover")
    async def bind_cover(cover: Leaf) -> None: ...

    @job(queue="default", name="assemble")
    async def assemble(book: Leaf, ctx: Context) -> list[int]:
        return (await children_of(ctx)).of(fetch_page)

    app = make_app(fetch_page, paint, bind_cover, assemble)
    async with running_worker(app, "default"):
        made = await run(
            "assemble.flow",
            begin="receipt =",
            **dict.fromkeys(("Page", "Book", "Cover", "Motif"), Leaf),
            fetch_page=fetch_page,
            paint=paint,
            bind_cover=bind_cover,
            assemble=assemble,
        )
    assert made["bound"] == [1, 2]

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import (
    ActionRefused,
    Bullq,
    ChildResults,
    Context,
    Flow,
    InvalidOptionError,
    Job,
    JobFailed,
    JobState,
    Observer,
    PayloadError,
    SettingsError,
    children_of,
    children_of_sync,
    job,
)
from bullq.dispatch.flows import MOST_JOBS
from bullq.jobs.flow import OnFailure
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker


class Page(BaseModel):
    number: int
    fails: bool = False


class Text(BaseModel):
    text: str


class Book(BaseModel):
    title: str = "untitled"


class Bound(BaseModel):
    pages: list[str]
    failures: list[str] = []


@job(queue="default", name="print-page", attempts=1)
async def print_page(page: Page) -> Text:
    if page.fails:
        raise RuntimeError(f"page {page.number} is torn")
    return Text(text=f"page {page.number}")


@job(queue="data-sync", name="fetch-cover")
def fetch_cover(book: Book) -> str:
    return f"cover of {book.title}"


@job(queue="books", name="bind", attempts=1)
async def bind(book: Book, ctx: Context) -> Bound:
    children = await children_of(ctx)
    texts = [text.text for text in children.of(print_page)]
    return Bound(
        pages=[*children.of(fetch_cover), *texts], failures=list(children.failures.values())
    )


@job(queue="books", name="bind-sync")
def bind_sync(book: Book, ctx: Context) -> list[str]:
    return [text.text for text in children_of_sync(ctx).of(print_page)]


JOBS: tuple[Job[Any, Any], ...] = (print_page, fetch_cover, bind, bind_sync)
QUEUES = ("default", "data-sync", "books")


@pytest.fixture
def app(make_app: AppFactory) -> Bullq:
    return make_app(*JOBS)


@contextlib.asynccontextmanager
async def working(app: Bullq) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for queue in QUEUES:
            await stack.enter_async_context(running_worker(app, queue))
        yield


async def test_a_parent_gets_the_typed_results_of_its_children_on_other_queues(app: Bullq) -> None:
    flow = bind.flow(
        Book(title="Ulysses"),
        children=[
            print_page.flow(Page(number=2)),
            fetch_cover.flow(Book(title="Ulysses")),
            print_page.flow(Page(number=1), delay=0.05),
        ],
    )
    receipt = await flow.dispatch()
    assert await receipt.receipt.status() == "waiting-children"
    async with working(app):
        bound = await receipt.result(timeout=DEADLINE)
    # In the order in which they were given, not in which they ended.
    assert bound.pages == ["cover of Ulysses", "page 2", "page 1"]
    assert [child.receipt.name for child in receipt.children] == [
        "print-page",
        "fetch-cover",
        "print-page",
    ]
    assert (await receipt.children[0].result()).text == "page 2"


async def test_results_of_children_whose_records_are_gone_are_there(
    app: Bullq, make_app: AppFactory
) -> None:
    receipt = await bind.flow(Book(), children=[print_page.flow(Page(number=1))]).dispatch()
    await app.worker("default", Observer()).run(burst=True)
    assert await app.queue("default").control.clean() == [receipt.children[0].id]
    await app.worker("books", Observer()).run(burst=True)
    assert (await receipt.result(timeout=DEADLINE)).pages == ["page 1"]


async def test_grandchildren_end_before_children(app: Bullq) -> None:
    inner = bind.flow(Book(title="inner"), children=[print_page.flow(Page(number=1))])
    outer = await bind.flow(Book(title="outer"), children=[inner]).dispatch()
    async with working(app):
        await outer.result(timeout=DEADLINE)
    assert (await outer.children[0].result()).pages == ["page 1"]


def test_flows_work_without_an_event_loop(app: Bullq) -> None:
    receipt = bind_sync.flow(Book(), children=[print_page.flow(Page(number=7))]).dispatch_sync()

    async def work() -> None:
        for queue in ("default", "books"):
            await app.worker(queue, Observer()).run(burst=True)
        await app.store.aclose()

    asyncio.run(work())
    assert receipt.receipt.result_sync(timeout=DEADLINE) == ["page 7"]


TORN = Page(number=3, fails=True)


@pytest.mark.parametrize(
    ("on_failure", "bound"),
    [
        ("continue", Bound(pages=["page 1"], failures=["page 3 is torn"])),
        ("ignore", Bound(pages=["page 1"], failures=["page 3 is torn"])),
        ("remove", Bound(pages=["page 1"])),
    ],
)
async def test_a_parent_goes_on_without_a_child_that_may_fail(
    app: Bullq, on_failure: OnFailure, bound: Bound
) -> None:
    flow = bind.flow(
        Book(),
        children=[
            print_page.flow(Page(number=1)),
            print_page.flow(TORN, on_failure=on_failure),
        ],
    )
    receipt = await flow.dispatch()
    for queue in ("default", "books"):
        await app.worker(queue, Observer(), concurrency=1).run(burst=True)
    assert await receipt.result(timeout=DEADLINE) == bound


async def test_a_child_fails_its_parent_unless_it_says_otherwise(app: Bullq) -> None:
    receipt = await bind.flow(Book(), children=[print_page.flow(TORN)]).dispatch()
    async with working(app):
        with pytest.raises(JobFailed, match=r"child .* failed"):
            await receipt.result(timeout=DEADLINE)


async def test_a_parent_waits_for_a_failed_child_to_be_retried_where_asked(app: Bullq) -> None:
    flow = bind.flow(Book(), children=[print_page.flow(TORN, on_failure="wait")])
    receipt = await flow.dispatch()
    await app.worker("default", Observer()).run(burst=True)
    assert await receipt.receipt.status() == "waiting-children"
    jobs = app.queue("default").jobs
    await jobs.update_data(receipt.children[0].id, {"number": 3})
    await jobs.retry(receipt.children[0].id, reset_attempts=True)
    async with working(app):
        assert (await receipt.result(timeout=DEADLINE)).pages == ["page 3"]


async def test_a_child_that_has_completed_before_lends_its_result(app: Bullq) -> None:
    early = await print_page.dispatch(Page(number=1), id="early")
    await app.worker("default", Observer()).run(burst=True)
    assert await early.status() == "completed"
    flow = bind.flow(
        Book(),
        children=[
            print_page.flow(Page(number=1), id="early"),
            print_page.flow(Page(number=2)),
        ],
    )
    receipt = await flow.dispatch()
    # The official scripts let the parent go at the first child that has completed.
    assert await receipt.receipt.status() == "waiting-children"
    async with working(app):
        assert (await receipt.result(timeout=DEADLINE)).pages == ["page 1", "page 2"]


async def test_a_parent_of_children_that_have_all_completed_begins_at_once(app: Bullq) -> None:
    for number in (1, 2):
        await print_page.dispatch(Page(number=number), id=f"early-{number}")
    await app.worker("default", Observer()).run(burst=True)
    children = [print_page.flow(Page(number=number), id=f"early-{number}") for number in (1, 2)]
    receipt = await bind.flow(Book(), children=children).dispatch()
    async with working(app):
        assert (await receipt.result(timeout=DEADLINE)).pages == ["page 1", "page 2"]


async def test_a_child_whose_old_parent_is_gone_gets_the_new_one(app: Bullq) -> None:
    def flow() -> Flow[Book, Bound]:
        return bind.flow(Book(), children=[print_page.flow(Page(number=1), id="page-1")])

    old = await flow().dispatch()
    with pytest.raises(ActionRefused, match=r"'page-1' .* another job waits for it"):
        await flow().dispatch()
    await app.queue("books").jobs.remove(old.id, with_children=False)
    new = await flow().dispatch()
    async with working(app):
        assert (await new.result(timeout=DEADLINE)).pages == ["page 1"]


async def test_nothing_is_added_where_one_job_stands_against_it(app: Bullq, prefix: str) -> None:
    await print_page.dispatch(TORN, id="torn")
    await app.worker("default", Observer()).run(burst=True)
    before = sorted(await app.store.client().keys(f"{prefix}:*"))
    flow = bind.flow(
        Book(),
        children=[print_page.flow(Page(number=1)), print_page.flow(TORN, id="torn")],
    )
    with pytest.raises(ActionRefused, match=r"'torn' .* has failed.*retry or remove it first"):
        await flow.dispatch()
    assert sorted(await app.store.client().keys(f"{prefix}:*")) == before


async def test_a_job_that_exists_gets_no_further_children(app: Bullq) -> None:
    await bind.dispatch(Book(), id="inner")
    inner = bind.flow(Book(), id="inner", children=[print_page.flow(Page(number=1))])
    with pytest.raises(ActionRefused, match="can get no further children"):
        await bind.flow(Book(), children=[inner]).dispatch()


async def test_the_same_root_twice_is_one_flow(app: Bullq) -> None:
    def flow() -> Flow[Book, Bound]:
        return bind.flow(Book(), id="book", children=[print_page.flow(Page(number=1))])

    first, second = await flow().dispatch(), await flow().dispatch()
    assert first.id == second.id == "book"
    assert [one.id for one in second.children] == [one.id for one in first.children]
    assert (await app.queue("default").view.counts())[JobState.WAITING] == 1


async def test_what_cannot_be_a_flow_is_refused_before_anything_is_sent(
    app: Bullq, prefix: str
) -> None:
    twins = [print_page.flow(Page(number=1), id="twin")] * 2
    with pytest.raises(InvalidOptionError, match="'twin' is twice in the flow"):
        await bind.flow(Book(), children=twins).dispatch()
    crowd = [print_page.flow(Page(number=number)) for number in range(MOST_JOBS)]
    with pytest.raises(InvalidOptionError, match=r"at most 1,000 jobs.*1,001"):
        await bind.flow(Book(), children=crowd).dispatch()
    with pytest.raises(PayloadError, match="number: Field required"):
        await bind.flow(Book(), children=[print_page.flow({"no": 1})]).dispatch()  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="whole number"):
        await bind.flow(Book(), children=[print_page.flow(Page(number=1), id="7")]).dispatch()
    with pytest.raises(InvalidOptionError, match="on_failure is one of"):
        bind.flow(Book(), on_failure="explode")  # type: ignore[arg-type]
    assert await app.store.client().keys(f"{prefix}:*") == []


async def test_another_engine_has_no_flows(app: Bullq) -> None:
    class Elsewhere:
        engine, queue, job_id = "inngest", "books", "book-1"

    with pytest.raises(ActionRefused, match=r"book-1 runs on inngest: there .* with ctx.invoke"):
        await children_of(Elsewhere())  # type: ignore[arg-type]


async def test_flows_need_bullmq(make_app: AppFactory) -> None:
    make_app(*JOBS, USE_BULLMQ=False)
    with pytest.raises(SettingsError, match="Flows need BullMQ"):
        await bind.flow(Book()).dispatch()


async def test_children_are_read_by_what_has_become_of_them(app: Bullq, prefix: str) -> None:
    flow = bind.flow(
        Book(),
        children=[
            print_page.flow(Page(number=1), id="done"),
            print_page.flow(TORN, id="torn", on_failure="ignore"),
            fetch_cover.flow(Book(), id="open"),
        ],
    )
    receipt = await flow.dispatch()
    await app.worker("default", Observer()).run(burst=True)
    seen = await app.queue("books").view.children(receipt.id)
    assert seen.values == {f"{prefix}:default:done": {"text": "page 1"}}
    assert seen.ignored == {f"{prefix}:default:torn": "page 3 is torn"}
    assert (seen.pending, seen.failed, seen.total) == ([f"{prefix}:data-sync:open"], [], 3)
    results = await app.flows.children("books", receipt.id)
    assert isinstance(results, ChildResults)
    assert results.all() == seen.values


async def test_a_flow_is_read_as_the_tree_it_is(app: Bullq) -> None:
    inner = bind.flow(Book(), id="inner", children=[print_page.flow(Page(number=1), id="page")])
    flow = bind.flow(Book(), id="outer", children=[inner, print_page.flow(TORN, id="torn")])
    await flow.dispatch()
    await app.worker("default", Observer()).run(burst=True)
    await app.queue("default").control.clean()
    queue = app.queue("books")
    tree = await queue.tree("outer")
    assert (tree.id, tree.state, tree.unread) == ("outer", JobState.WAITING, 0)
    children = {child.id: child for child in tree.children}
    assert children["torn"].state == JobState.FAILED
    [page] = children["inner"].children
    # The record has been cleaned away; the parent knows of it all the same.
    assert (page.queue, page.id, page.state, page.record) == (
        *("default", "page"),
        JobState.UNKNOWN,
        None,
    )
    shallow = await queue.tree("outer", depth=1)
    assert shallow.children == []
    assert (await queue.tree("outer", most=1)).unread == 1

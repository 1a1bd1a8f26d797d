"""Queues on a Redis Cluster: a prefix with a hash tag puts all their keys on one of its nodes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
import redis
from pydantic import BaseModel

from bullq import (
    Bullq,
    Context,
    Flow,
    JobState,
    Observer,
    QueueSpec,
    RateLimit,
    StoreUnavailable,
    children_of,
    job,
)
from bullq.store.adding import JobKind, NewJob
from bullq.store.arbiter import (
    Adding,
    Arbiter,
    Confirmation,
    Unsettled,
    read_started,
    started_channel,
)
from tests.conftest import AppFactory
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer, free_port, running_server
from tests.support.workers import running_worker

pytestmark = pytest.mark.slow

PREFIX = "{shop}"
SLOTS = 16_384
NODES = 3


class Page(BaseModel):
    number: int = 0
    fails: bool = False


@job(queue="default", name="print-page", attempts=1)
async def print_page(page: Page) -> int:
    if page.fails:
        raise RuntimeError("torn")
    return page.number


@job(queue="books", name="bind")
async def bind(page: Page, ctx: Context) -> list[int]:
    ctx.log("binding")
    return (await children_of(ctx)).of(print_page)


@job(queue="scheduled", name="tick", every=3600)
async def tick(page: Page) -> int:
    return page.number


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three nodes that share all slots between them."""
    with contextlib.ExitStack() as stack:
        buses = [free_port() for _ in range(NODES)]
        nodes = [
            stack.enter_context(
                running_server(
                    tmp_path_factory.mktemp("node"),
                    *("--cluster-enabled", "yes", "--cluster-port", str(bus)),
                )
            )
            for bus in buses
        ]
        for number, node in enumerate(nodes):
            first, last = number * SLOTS // NODES, (number + 1) * SLOTS // NODES - 1
            with redis.Redis(port=node.port) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, buses[0])
        for node in nodes:
            wait_until_ready(node)
        yield nodes


def wait_until_ready(node: RedisServer) -> None:
    end = time.monotonic() + DEADLINE
    with redis.Redis(port=node.port, decode_responses=True) as client:
        while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
            assert time.monotonic() < end, "the nodes did not form a cluster"
            time.sleep(0.02)  # nodes tell nobody when they have agreed


def owner(nodes: list[RedisServer]) -> tuple[RedisServer, RedisServer]:
    """Give the node that has the keys of PREFIX, and one that has not."""
    with redis.Redis(port=nodes[0].port) as client:
        slot = int(client.execute_command("CLUSTER", "KEYSLOT", PREFIX))
    number = next(one for one in range(NODES) if slot < (one + 1) * SLOTS // NODES)
    return nodes[number], nodes[number - 1]


@pytest.fixture
def app(cluster: list[RedisServer], make_app: AppFactory) -> Bullq:
    spec = QueueSpec(name="default", rate_limit=RateLimit(100, 1))
    return make_app(
        *(print_page, bind, tick),
        queues=[spec],
        url=owner(cluster)[0].url,
        BULLQ_PREFIX=PREFIX,
    )


async def test_jobs_flows_schedules_and_actions_work_on_the_node_that_has_the_prefix(
    app: Bullq,
) -> None:
    queue = app.queue("default")
    failed = (await print_page.dispatch(Page(number=0, fails=True))).id
    await print_page.dispatch_many([Page(number=number) for number in range(100)])
    await print_page.dispatch(Page(number=7), id="known")
    await app.worker("default", Observer()).run(burst=True)
    flow: Flow[Page, list[int]] = bind.flow(
        Page(number=1),
        children=[
            print_page.flow(Page(number=7), id="known"),
            print_page.flow(Page(number=8), delay=0.05),
            print_page.flow(Page(number=9), priority=2),
        ],
    )
    receipt = await flow.dispatch()
    async with running_worker(app, "default"), running_worker(app, "books"):
        async with running_worker(app, "scheduled") as (_, recorder):
            await recorder.wait_for("job_completed")
        assert await receipt.result(timeout=DEADLINE) == [7, 8, 9]
    assert await app.queue("books").view.logs(receipt.id) == ["binding"]
    await queue.jobs.retry(failed)
    await queue.control.pause()
    await queue.control.resume()
    await queue.jobs.remove(failed)
    delayed = (await print_page.dispatch(Page(number=1), delay=60)).id
    await queue.jobs.change_delay(delayed, 120)
    await queue.jobs.promote(delayed)
    assert await queue.control.rescue() == []
    events = {event.name async for event in queue.events(since="0-0", quiet_for=0.1)}
    assert {"completed", "failed", "delayed", "paused", "resumed", "removed"} <= events
    assert len(await queue.control.clean()) == 103
    assert (await queue.view.counts())[JobState.WAITING] == 1
    for name in ("default", "books", "scheduled"):
        await app.queue(name).control.obliterate()
    # BullMQ leaves the count of a rate limit to expire.
    assert set(await queue.store.client().keys("*")) <= {queue.keys.key("limiter")}


async def test_which_engine_has_a_job_is_decided_on_that_node_too(app: Bullq) -> None:
    queue = app.queue("default")
    arbiter = Arbiter(queue.store.pipelined(), queue.keys)
    kind, confirmation = JobKind("print-page", {}), Confirmation("me", 0)
    jobs = [NewJob(kind, name, "{}") for name in ("begun", "settled", "overdue")]
    async with queue.store.client().pubsub() as heard:
        await heard.subscribe(started_channel(PREFIX, "me"))
        added = await arbiter.add_confirmed(jobs, confirmation)
        assert added.added is not None
        assert [one.outcome for one in added.added] == [Adding.ADDED] * 3
        assert (await arbiter.settle([Unsettled(id="settled")])).settled[0].fresh
        await app.worker("default", Observer(), concurrency=1).run(burst=True)
        messages = [await heard.get_message(timeout=DEADLINE) for _ in range(3)]
    assert [read_started(one["data"]) for one in messages[1:] if one] == [
        ("default", ["begun"]),
        ("default", ["overdue"]),
    ]
    await arbiter.add_confirmed([NewJob(kind, "late", "{}")], confirmation)
    swept = await arbiter.sweep("me", lease_ms=1_000, alive=False)
    assert swept.fresh == {"late"}
    assert await arbiter.sent(["late", "settled"]) == 2
    await queue.store.client().flushall()


async def test_another_node_of_the_cluster_says_where_the_prefix_is(
    cluster: list[RedisServer], make_app: AppFactory
) -> None:
    right, wrong = owner(cluster)
    make_app(print_page, url=wrong.url, BULLQ_PREFIX=PREFIX)
    with pytest.raises(StoreUnavailable) as told:
        await print_page.dispatch(Page(number=1))
    assert f"these keys are at 127.0.0.1:{right.port}" in str(told.value)


async def test_a_prefix_without_a_hash_tag_is_told_on_a_cluster(
    cluster: list[RedisServer], make_app: AppFactory
) -> None:
    make_app(print_page, url=cluster[0].url, BULLQ_PREFIX="shop")
    with pytest.raises(StoreUnavailable, match=r"hash tag, such as BULLQ_PREFIX=\{bull\}"):
        await print_page.dispatch(Page(number=1))

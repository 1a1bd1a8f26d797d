"""One trace spans a producer in Node, a worker of bullq, and the Node worker it dispatches to."""

from __future__ import annotations

import json

from opentelemetry import trace
from pydantic import BaseModel

from bullq import RemoteJob, job
from tests.interop.telemetry.conftest import MakeTraced, NodeProgram, Span
from tests.support.workers import running_worker


class Page(BaseModel):
    number: int


refresh = RemoteJob(queue="storefront", name="refresh", data=Page, result=Page)


@job(queue="default")
async def relay(page: Page) -> int:
    receipt = await refresh.dispatch(Page(number=page.number + 1))
    return (await receipt.result()).number


@job(queue="default")
def relay_from_a_thread(page: Page) -> int:
    return refresh.dispatch_sync(Page(number=page.number + 1)).result_sync().number


def by_name(spans: list[Span]) -> dict[str, Span]:
    return {span.name: span for span in spans}


async def test_node_to_bullq_to_node_is_one_trace(node: NodeProgram, traced: MakeTraced) -> None:
    here = traced(relay, refresh)
    await node.ask("work", name="storefront")
    async with running_worker(here.app, "default"):
        jobs = [{"name": "relay", "data": {"number": 7}}]
        assert await node.ask("add", name="default", jobs=jobs) == [8]
    python, program = by_name(here.told().spans), by_name((await node.told()).spans)
    chain = [
        program["request"],
        program["add default.relay"],
        python["process default"],
        python["add storefront.refresh"],
        program["process storefront"],
        program["complete storefront"],
    ]
    assert {span.trace for span in chain} == {chain[0].trace}
    assert [span.parent for span in chain] == [None, *(span.id for span in chain[:-1])]
    assert [span.kind for span in chain[1:-1]] == ["PRODUCER", "CONSUMER", "PRODUCER", "CONSUMER"]
    recorded = python["complete default"]
    assert (recorded.trace, recorded.parent) == (chain[0].trace, python["process default"].id)


async def test_a_job_in_a_thread_dispatches_within_its_trace(
    node: NodeProgram, traced: MakeTraced
) -> None:
    here = traced(relay_from_a_thread, refresh)
    await node.ask("work", name="storefront")
    async with running_worker(here.app, "default"):
        jobs = [{"name": "relay-from-a-thread", "data": {"number": 1}}]
        assert await node.ask("add", name="default", jobs=jobs) == [2]
    python, program = by_name(here.told().spans), by_name((await node.told()).spans)
    assert python["add storefront.refresh"].parent == python["process default"].id
    assert program["process storefront"].trace == program["request"].trace


async def test_what_python_dispatches_belongs_to_the_caller_s_trace(
    node: NodeProgram, traced: MakeTraced
) -> None:
    here = traced(refresh)
    await node.ask("work", name="storefront")
    with trace.get_tracer("test", tracer_provider=here.provider).start_as_current_span("request"):
        receipt = await refresh.dispatch(Page(number=1))
        [bulk] = await refresh.dispatch_many([Page(number=2)])
    assert (await receipt.result(), await bulk.result()) == (Page(number=1), Page(number=2))
    python = by_name(here.told().spans)
    worked = (await node.told()).named("process storefront")
    assert {span.trace for span in worked} == {python["request"].trace}
    assert {span.parent for span in worked} == {
        python["add storefront.refresh"].id,
        python["addBulk storefront"].id,
    }
    live = here.app.queue("storefront")
    stored = await live.store.client().hget(live.keys.job(receipt.id), "opts")
    added = python["add storefront.refresh"]
    carried = json.loads(json.loads(stored)["tm"])
    assert carried["traceparent"].startswith(f"00-{added.trace}-{added.id}-")

"""The same jobs leave the same spans and metrics, whether Node runs and adds them or bullq does."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Context, GiveUp, job
from tests.interop.telemetry.conftest import MakeTraced, NodeProgram, Span, Told
from tests.support.workers import running_worker

QUEUES = {"node": "by-node", "bullq": "by-bullq"}
JOBS: list[dict[str, Any]] = [
    {"name": "work", "data": {"number": 7}},
    {"name": "give-up", "opts": {"attempts": 3}},
    {"name": "retry", "data": {"number": 0}, "opts": {"attempts": 2}},
    {
        "name": "retry",
        "data": {"number": 1},
        "opts": {"attempts": 2, "backoff": {"type": "fixed", "delay": 5}},
    },
]
NOT_PER_JOB = {
    "getNextJob",
    "extendLocks",
    "moveStalledJobsToWait",
    "startStalledCheckTimer",
    "close",
}
"""What Node tells of its worker's loop, which is another one here."""


class Number(BaseModel):
    number: int = 0


@job(queue=QUEUES["bullq"])
def work(data: Number) -> Number:
    return data


@job(queue=QUEUES["bullq"], name="give-up")
def give_up(data: Number) -> None:
    raise GiveUp("given up")


@job(queue=QUEUES["bullq"])
def retry(data: Number, ctx: Context) -> Number:
    if ctx.job_attempt == 1:
        raise RuntimeError("not yet")
    return data


VARYING = {
    "bullmq.job.id",
    "bullmq.worker.id",
    "bullmq.worker.name",
    "bullmq.job.processed.timestamp",
    "bullmq.job.attempt_finished_timestamp",
}
"""Attributes that are there on both sides, with a value that differs from run to run."""


def shape(span: Span, spans: dict[str, Span]) -> str:
    """Write all of a span that has to be the same on both sides, and its parent's name."""
    parent = spans.get(span.parent or "")
    attributes = {
        key: "..." if key in VARYING else value
        for key, value in span.attributes.items()
        if key != "bullmq.worker.name"  # Node's workers have none unless they are given one
    }
    text = json.dumps(
        [span.kind, span.name, parent and parent.name, attributes, span.events, span.scope]
    )
    return text.replace(QUEUES["node"], "QUEUE").replace(QUEUES["bullq"], "QUEUE")


def shapes(told: Told, all_spans: list[Span], queue: str) -> Counter[str]:
    known = {span.id: span for span in all_spans}
    return Counter(
        shape(span, known)
        for span in told.spans
        if span.attributes.get("bullmq.queue.name") == queue
        and span.name.split()[0] not in {*NOT_PER_JOB, "add", "addBulk"}
    )


@pytest.fixture
async def both(node: NodeProgram, traced: MakeTraced) -> tuple[Told, Told]:
    """Run the jobs on both sides, and give what each has told."""
    here = traced(work, give_up, retry)
    await node.ask("work", name=QUEUES["node"])
    async with running_worker(here.app, QUEUES["bullq"]):
        ends = [await node.ask("add", name=queue, jobs=JOBS) for queue in QUEUES.values()]
    assert ends[0] == [{"number": 7}, "Error: given up", {"number": 0}, {"number": 1}]
    assert ends[1] == ends[0]
    return await node.told(), here.told()


async def test_attempts_leave_the_same_spans(both: tuple[Told, Told]) -> None:
    program, python = both
    together = [*program.spans, *python.spans]
    wanted = shapes(program, together, QUEUES["node"])
    got = shapes(python, together, QUEUES["bullq"])
    assert got == wanted
    assert sum(wanted.values()) == 12  # six attempts, and the record of each


async def test_attempts_are_counted_the_same(both: tuple[Told, Told]) -> None:
    program, python = both

    def counted(told: Told, queue: str) -> dict[str, Any]:
        found = {}
        for metric in told.metrics:
            points = [
                (sorted(point["attributes"].items()), point["count"])
                for point in metric["points"]
                if point["attributes"]["bullmq.queue.name"] == queue
            ]
            text = json.dumps([metric["unit"], metric["description"], sorted(points)])
            found[metric["name"]] = text.replace(queue, "QUEUE")
        return found

    wanted = counted(program, QUEUES["node"])
    assert set(wanted) == {
        "bullmq.jobs.completed",
        "bullmq.jobs.failed",
        "bullmq.jobs.retried",
        "bullmq.jobs.delayed",
        "bullmq.job.duration",
    }
    assert counted(python, QUEUES["bullq"]) == wanted


async def test_jobs_in_a_queue_are_gauged_the_same(node: NodeProgram, traced: MakeTraced) -> None:
    here = traced(work)
    await work.dispatch_many([Number(), Number()])
    await work.dispatch(Number(), delay=3_600)
    await node.ask("count", name=QUEUES["bullq"])
    assert here.app.telemetry is not None
    here.app.telemetry.record_job_counts(
        QUEUES["bullq"], await here.app.queue(QUEUES["bullq"]).view.counts()
    )
    [wanted] = (await node.told()).metrics
    [got] = here.told().metrics
    points = {tuple(point["attributes"].items()): point["count"] for point in wanted["points"]}
    assert {tuple(point["attributes"].items()): point["count"] for point in got["points"]} == points
    assert {**got, "points": None} == {**wanted, "points": None}
    assert sorted(points.values()) == [0, 0, 0, 0, 0, 1, 2]


async def test_adding_leaves_the_same_spans(node: NodeProgram, traced: MakeTraced) -> None:
    here = traced(work)
    await work.dispatch(Number())
    await work.dispatch_many([Number(), Number()])
    jobs = [{"name": "work", "data": {}}]
    await node.ask("work", name=QUEUES["node"])
    await node.ask("add", name=QUEUES["node"], jobs=jobs)
    await node.ask("addBulk", name=QUEUES["node"], jobs=jobs * 2)
    program, python = await node.told(), here.told()

    def added(told: Told) -> list[str]:
        spans = [span for span in told.spans if span.kind == "PRODUCER"]
        return [shape(span._replace(parent=None), {}) for span in spans]

    assert len(added(program)) == 2
    assert added(python) == added(program)


async def test_a_flow_leaves_the_same_spans(node: NodeProgram, traced: MakeTraced) -> None:
    def tree(queue: str) -> dict[str, Any]:
        leaf = {"queueName": queue, "name": "retry", "data": {}, "opts": {}}
        below = {"queueName": queue, "name": "work", "data": {}, "opts": {}, "children": [leaf]}
        return {"queueName": queue, "name": "work", "data": {}, "children": [below, leaf]}

    here = traced(work, retry)
    below = work.flow(Number(), children=[retry.flow(Number())])
    receipt = await work.flow(Number(), children=[below, retry.flow(Number())]).dispatch()
    await node.ask("flow", tree=tree(QUEUES["node"]))
    program, python = await node.told(), here.told()

    def shown(told: Told) -> list[str]:
        known = {span.id: span for span in told.spans}
        return sorted(shape(span, known) for span in told.spans if span.kind == "PRODUCER")

    assert len(shown(program)) == 5
    assert shown(python) == shown(program)
    spans = {span.attributes.get("bullmq.job.id"): span for span in python.spans}
    queue = here.app.queue(QUEUES["bullq"])
    for one in (receipt, *receipt.children):
        stored = await queue.store.client().hget(queue.keys.job(one.receipt.id), "opts")
        carried = json.loads(json.loads(stored)["tm"])["traceparent"]
        assert f"-{spans[one.receipt.id].id}-" in carried

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Backoff, Job, JobFailed, Keep, QueueSpec, job
from tests.conftest import AppFactory
from tests.interop.conftest import BOTH_VERSIONS
from tests.interop.node_side import NodeSide
from tests.interop.play import Play, playing
from tests.support.deadline import DEADLINE


class Echo(BaseModel):
    echo: bool = True
    value: Any = None


class Seen(BaseModel):
    data: dict[str, Any]
    opts: dict[str, Any]


SPEC = QueueSpec(
    name="default",
    attempts=4,
    backoff=Backoff.exponential(2, jitter=0.25),
    keep_completed=Keep(count=7, age=60),
    keep_failed=Keep(age=3600),
    keep_logs=9,
)


def echoing() -> Job[Echo, Seen]:
    @job(queue="default", name="echo")
    async def echo(given: Echo) -> Seen:
        raise NotImplementedError  # it runs in Node

    return echo


@BOTH_VERSIONS
@pytest.mark.parametrize(
    "value",
    [
        {"text": "żółć ✓ 漢字 \U0001f389 \u2028", "nested": {"list": [1, [2.5, {"x": []}]]}},
        None,
        [],
        [None, True, False, 0, -1, 1e-7, 9007199254740991],
        '\x00 control \x1f and \\ and "quotes"',
        "x" * 1_000_000,
    ],
    ids=["unicode and nesting", "null", "empty list", "literals", "escapes", "1 MB"],
)
async def test_node_sees_the_payload_as_it_was_sent(
    node: NodeSide, make_app: AppFactory, value: Any
) -> None:
    echo = echoing()
    make_app(echo)
    await node.work("default")
    receipt = await echo.dispatch(Echo(value=value))
    seen = await receipt.result(timeout=DEADLINE)
    assert seen.data == {"echo": True, "value": value}


@BOTH_VERSIONS
async def test_node_decodes_the_options(node: NodeSide, make_app: AppFactory) -> None:
    echo = echoing()
    make_app(echo, queues=[SPEC])
    await node.work("default")
    receipt = await echo.dispatch(
        Echo(), delay=0.02, priority=3, deduplication_id="once", deduplication_ttl=30
    )
    opts = (await receipt.result(timeout=DEADLINE)).opts
    assert opts.pop("jobId") == receipt.id
    if "de" in opts:  # what 5.81 calls deduplication inside
        opts["deduplication"] = opts.pop("de")
    assert opts == {
        "attempts": 4,
        "backoff": {"type": "exponential", "delay": 2000, "jitter": 0.25},
        "removeOnComplete": {"count": 7, "age": 60},
        "removeOnFail": {"age": 3600},
        "keepLogs": 9,
        "delay": 20,
        "priority": 3,
        "deduplication": {"id": "once", "ttl": 30_000},
    }


async def test_node_runs_lifo_jobs_of_bullq_first(node: NodeSide, make_app: AppFactory) -> None:
    play = playing()
    make_app(play)
    for number in (1, 2):
        await play.dispatch(Play(), id=f"fifo-{number}")
    await play.dispatch(Play(), id="lifo", lifo=True)
    await node.work("default")
    events = await node.events_until("default", "completed", count=3)
    begun = [event["jobId"] for event in events if event["event"] == "active"]
    assert begun == ["lifo", "fifo-1", "fifo-2"]


@BOTH_VERSIONS
async def test_a_failure_in_node_comes_back_through_the_receipt(
    node: NodeSide, make_app: AppFactory
) -> None:
    play = playing()
    make_app(play)
    await node.work("default")
    receipt = await play.dispatch(Play(give_up="no such order ✓"), attempts=5)
    with pytest.raises(JobFailed) as failed:
        await receipt.result(timeout=DEADLINE)
    assert failed.value.reason == "no such order ✓"
    assert (await node.read("default", receipt.id))["attemptsMade"] == 1


async def test_node_retries_by_the_backoff_that_bullq_set(
    node: NodeSide, make_app: AppFactory
) -> None:
    play = playing()
    make_app(play, queues=[QueueSpec(name="default", backoff=Backoff.fixed(0.05, jitter=0.5))])
    await node.work("default")
    receipt = await play.dispatch(Play(failures=2, result="third time"), attempts=3)
    assert await receipt.result(timeout=DEADLINE) == "third time"
    job_ = await node.read("default", receipt.id)
    assert (job_["attemptsMade"], job_["attemptsStarted"]) == (3, 3)

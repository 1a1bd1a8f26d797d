from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import AppFactory
from tests.interop.node_side import NodeSide
from tests.interop.play import playing
from tests.support.workers import running_worker


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (None, "(given None)"),
        ([1], "(given [1])"),
        ("text", "(given 'text')"),
        (7, "(given 7)"),
        ({"failures": "many"}, "failures: Input should be a valid integer"),
    ],
    ids=["null", "list", "string", "number", "wrong field"],
)
async def test_data_of_another_type_fails_at_once_with_what_pydantic_says(
    node: NodeSide, make_app: AppFactory, data: Any, shown: str
) -> None:
    app = make_app(playing())
    async with running_worker(app, "default"):
        job_id = await node.add("default", data, attempts=5)
        job = await node.ended("default", job_id, "failed")
    assert job["failedReason"].startswith("payload: ")
    assert shown in job["failedReason"]
    assert (job["attemptsMade"], job["attemptsStarted"]) == (1, 1)


async def test_a_name_nobody_knows_fails_with_the_known_names(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing(), playing(name="pause"), playing("data-sync", "elsewhere"))
    async with running_worker(app, "default"):
        job_id = await node.add("default", {}, name="plai")
        job = await node.ended("default", job_id, "failed")
    assert job["failedReason"] == (
        "No job is called 'plai' on the queue 'default'; did you mean play? known: pause, play"
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("opts", "{garbage", "field 'opts' is no JSON"),
        ("opts", "[1]", "options are no JSON object"),
        ("opts", "null", "options are no JSON object"),
        ("opts", '{"attempts":"many"}', "option 'attempts' is no number but 'many'"),
        ("data", "{garbage", "payload: "),
        ("atm", "few", "field 'atm' is no number"),
        ("stacktrace", "{garbage", None),
        ("timestamp", "yesterday", None),
    ],
)
async def test_a_corrupt_field_ends_the_job_and_never_loops(
    node: NodeSide, make_app: AppFactory, field: str, value: str, reason: str | None
) -> None:
    app = make_app(playing())
    queue = app.queue("default")
    client = queue.store.client()
    job_id = await node.add("default", {"failures": 1}, attempts=1)
    await client.hset(queue.keys.job(job_id), field, value)
    async with running_worker(app, "default"):
        events = await node.events_until("default", "failed", job_id)
        after = await node.add("default", {})
        await node.events_until("default", "completed", after)
    assert [event["event"] for event in events].count("active") == 1
    assert (reason or "failure 1") in await client.hget(queue.keys.job(job_id), "failedReason")
    assert await client.zscore(queue.keys.key("failed"), job_id) is not None
    assert await client.llen(queue.keys.key("active")) == 0


async def test_options_that_are_null_do_not_harm_a_job(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    queue = app.queue("default")
    job_id = await node.add("default", {"failures": 1})
    stored = (
        '{"attempts":null,"backoff":null,"removeOnComplete":null,"removeOnFail":null,"kl":null}'
    )
    await queue.store.client().hset(queue.keys.job(job_id), "opts", stored)
    async with running_worker(app, "default"):
        job = await node.ended("default", job_id, "failed")
    assert job["failedReason"] == "failure 1"


async def test_a_backoff_that_only_its_producer_knows_ends_the_job_and_says_so(
    node: NodeSide, make_app: AppFactory
) -> None:
    app = make_app(playing())
    async with running_worker(app, "default"):
        backoff = {"type": "mine", "delay": 5}
        job_id = await node.add("default", {"failures": 1}, attempts=3, backoff=backoff)
        job = await node.ended("default", job_id, "failed")
    assert job["failedReason"] == "failure 1"
    assert job["attemptsMade"] == 1
    assert "Not tried again: the job's backoff" in job["stacktrace"][0]


@pytest.mark.parametrize("put", ["lpush", "rpush"])
async def test_an_id_without_a_job_is_discarded_and_the_worker_goes_on(
    node: NodeSide, make_app: AppFactory, put: str
) -> None:
    app = make_app(playing())
    queue = app.queue("default")
    client = queue.store.client()
    await getattr(client, put)(queue.keys.key("wait"), "ghost")
    job_id = await node.add("default", {"result": "real"})
    async with running_worker(app, "default") as (_, recorder):
        assert (await node.ended("default", job_id))["returnvalue"] == "real"
        [told] = await recorder.wait_for("job_discarded")
        events = await node.events_until("default", "removed", "ghost")
    assert told.arguments == ("default", "ghost")
    assert {event["event"] for event in events if event.get("jobId") == "ghost"} == {
        "active",
        "removed",
    }
    assert not await client.exists(queue.keys.job("ghost"), queue.keys.job("ghost") + ":lock")
    assert await client.llen(queue.keys.key("active")) == 0

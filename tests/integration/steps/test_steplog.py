"""What many jobs record at once travels in few calls, and no call is too big for the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from bullq import Context, QueueSpec, StoreUnavailable, job
from bullq.queues.steplog import MOST_PER_CALL, StepLog
from bullq.store.steps import FieldTimer, StepRecord
from tests.conftest import AppFactory
from tests.support.workers import running_worker

ONE = QueueSpec(name="one")


async def calls_of(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]
) -> list[list[int]]:
    """Record one step for each text at once; give how many bytes each call's records had."""
    app = make_app(queues=[ONE])
    queue = app.queue("one")
    client = queue.store.client()
    for number in range(len(texts)):
        await client.hset(queue.keys.job(f"j-{number}"), mapping={"name": "x"})
        await client.set(f"{queue.keys.job(f'j-{number}')}:lock", f"t-{number}")
    log = StepLog(queue.store, queue.keys)
    calls: list[list[int]] = []
    record_steps = log.scripts.record_steps

    async def spy(records: Sequence[StepRecord]) -> Any:
        calls.append([record.size for record in records])
        return await record_steps(records)

    monkeypatch.setattr(log.scripts, "record_steps", spy)
    records = [
        StepRecord(job_id=f"j-{number}", token=f"t-{number}", fields={"step:a": text})
        for number, text in enumerate(texts)
    ]
    assert await asyncio.gather(*map(log.record, records)) == [0] * len(texts)
    for number, text in enumerate(texts):
        assert await client.hget(queue.keys.job(f"j-{number}"), "step:a") == text
    return calls


async def test_many_records_share_calls(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = await calls_of(make_app, monkeypatch, ["1"] * 120)
    assert [len(call) for call in calls] == [MOST_PER_CALL, MOST_PER_CALL, 20]


async def test_big_records_have_calls_of_their_own(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [400_000, 400_000, 400_000, 3_000_000, 10]
    calls = await calls_of(make_app, monkeypatch, ["x" * size for size in sizes])
    assert calls == [[400_000, 400_000], [400_000], [3_000_000], [10]]


async def test_a_broken_record_fails_alone(make_app: AppFactory) -> None:
    app = make_app(queues=[ONE])
    queue = app.queue("one")
    client = queue.store.client()
    await client.set(queue.keys.job("broken"), "no hash")
    await client.hset(queue.keys.job("whole"), mapping={"name": "x"})
    for job_id in ("broken", "whole"):
        await client.set(f"{queue.keys.job(job_id)}:lock", "mine")
    log = StepLog(queue.store, queue.keys)
    broken, whole = await asyncio.gather(
        *(
            log.record(StepRecord(job_id=job_id, token="mine", fields={"step:a": "1"}))
            for job_id in ("broken", "whole")
        ),
        return_exceptions=True,
    )
    assert isinstance(broken, RuntimeError)
    assert "WRONGTYPE" in str(broken)
    assert whole == 0


@pytest.mark.parametrize("park", [None, "delayed"])
async def test_a_record_whose_answer_was_lost_is_on_record(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch, park: Any
) -> None:
    app = make_app(queues=[ONE])
    queue = app.queue("one")
    client = queue.store.client()
    await client.hset(queue.keys.job("a"), mapping={"name": "x"})
    await client.set(f"{queue.keys.job('a')}:lock", "mine")
    await client.lpush(queue.keys.key("active"), "a")
    log = StepLog(queue.store, queue.keys)
    record_steps = log.scripts.record_steps
    answers: list[Any] = []

    async def lost_once(records: Sequence[StepRecord]) -> Any:
        answers.append(await record_steps(records))
        if len(answers) == 1:
            raise StoreUnavailable("the answer was lost", in_doubt=True)
        return answers[-1]

    monkeypatch.setattr(log.scripts, "record_steps", lost_once)
    timers = [FieldTimer("step:b", '{"until":', 60_000)] if park else []
    record = StepRecord(job_id="a", token="mine", fields={"step:a": "1"}, park=park, timers=timers)
    assert await log.record(record) == 0
    assert answers == ([[0], [-2]] if park else [[0], [0]])  # parked, it has no lock any more
    assert await client.hget(queue.keys.job("a"), "step:a") == "1"
    assert (await client.zscore(queue.keys.key("delayed"), "a") is not None) == bool(park)


class Number(BaseModel):
    n: int = 0


async def test_an_outage_while_a_step_asks_spends_no_attempt(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = []

    def failing(name: str, owner: Any, call: Callable[..., Awaitable[Any]]) -> None:
        async def once_away(*arguments: Any) -> Any:
            if name not in [error.args[0] for error in failures]:
                await call(*arguments)
                failures.append(StoreUnavailable(name, in_doubt=True))
                raise failures[-1]
            return await call(*arguments)

        monkeypatch.setattr(owner, name, once_away)

    @job(queue="one", name="child")
    async def child(data: Number) -> int:
        return data.n + 1

    @job(queue="one", name="parent", attempts=1)
    async def parent(data: Number, ctx: Context) -> list[int]:
        return [await ctx.once("effect", int, 5), await ctx.invoke("child", child, data)]

    app = make_app(parent, child, queues=[ONE])
    queue = app.queue("one")
    receipt = await parent.dispatch(Number(n=1))
    failing("get", queue.store.client(), queue.store.client().get)
    failing("child_state", queue.steps.scripts, queue.steps.scripts.child_state)
    failing("add", queue, queue.add)
    async with running_worker(app, "one"):
        assert await receipt.result(timeout=30) == [5, 2]
    assert [error.args[0] for error in failures] == ["get", "child_state", "add"]

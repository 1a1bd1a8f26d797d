"""Jobs whose dispatcher died before a worker began them: the endpoint's process sends them on."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from bullq import job
from bullq.queues.results import ResultWatcher
from bullq.store.adding import JobKind, NewJob
from bullq.store.arbiter import Adding, Arbiter, Confirmation
from tests.integration.inngest.conftest import SiteFactory
from tests.support.deadline import DEADLINE


class Number(BaseModel):
    number: int


@job(queue="swept", name="double")
async def double_it(data: Number) -> int:
    return 2 * data.number


async def test_a_job_that_nobody_begins_runs_on_the_other_engine_once(
    make_site: SiteFactory,
) -> None:
    site = await make_site(double_it)
    queue = site.app.queue("swept")
    arbiter = Arbiter(queue.store.pipelined(), queue.keys)
    new = NewJob(JobKind("double", {"attempts": 2}), "orphan", '{"number":21}')
    waiting = asyncio.create_task(
        ResultWatcher(queue.store, queue.keys).wait("orphan", DEADLINE, since_ms=0)
    )
    await arbiter.add_confirmed([new], Confirmation("dead", 0))
    assert (await site.double.finished("orphan")).output == 42
    # Who waited from before hears of the end over there, not of the tombstone.
    assert (await waiting).value == "42"
    record = await queue.store.client().hgetall(queue.keys.job("orphan"))
    assert (record["engine"], record["returnvalue"]) == ("inngest", "42")
    again = await arbiter.add_confirmed([new], Confirmation("dead", 0))
    assert again.added == [(Adding.ROUTED, "orphan")]
    assert ("completed", "orphan") in site.heard.told

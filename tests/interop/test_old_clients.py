"""A queue shared with BullMQ 5: warned of, not paused by mistake, and nothing lost for good."""

from __future__ import annotations

import pytest

from bullq import ActionRefused, JobState
from tests.conftest import AppFactory
from tests.interop.node_side import NodeSide
from tests.interop.play import Play, playing
from tests.support.workers import running_worker

pytestmark = pytest.mark.parametrize("node", ["5.81"], indirect=True)

JOBS = 100


async def test_what_an_old_client_adds_to_a_paused_queue_is_brought_back_by_a_resume(
    node: NodeSide, make_app: AppFactory
) -> None:
    play = playing()
    app = make_app(play)
    queue = app.queue("default")
    await play.dispatch_many([Play()] * JOBS)
    await queue.control.pause()
    await node.add("default", {}, jobId="by-node")
    shared = await queue.view.clients()
    assert (shared.version, shared.paused_apart) == ("bullmq:5.81.5", 1)
    with pytest.raises(ActionRefused) as refused:
        await queue.control.resume()
    told = str(refused.value)
    assert told.startswith("Not resumed. The queue 'default' is shared with a client of BullMQ 5")
    assert "1 job in its list 'paused', its version is 'bullmq:5.81.5'" in told
    await queue.control.resume(force=True)
    async with running_worker(app, "default") as (_, recorder):
        await recorder.wait_for("job_completed", JOBS + 1)
        [warned] = recorder.all("trouble")
    assert "is shared with a client of BullMQ 5" in warned.arguments[1]
    assert (await queue.view.counts())[JobState.COMPLETED] == JOBS + 1


async def test_what_the_resume_of_an_old_client_loses_is_rescued_in_its_order(
    node: NodeSide, make_app: AppFactory
) -> None:
    play = playing()
    app = make_app(play)
    queue = app.queue("default")
    ids = [receipt.id for receipt in await play.dispatch_many([Play()] * JOBS)]
    first = (await play.dispatch(Play(), priority=7)).id
    await queue.control.pause()
    await node.add("default", {}, jobId="by-node")
    await node.queue("default", "resume")
    client, wait = queue.store.client(), queue.keys.key("wait")
    # Not as it should be: the 100 jobs of bullq are in no list any more.
    assert await client.lrange(wait, 0, -1) == ["by-node"]
    assert await queue.control.rescue() == ids
    assert await client.lrange(wait, 0, -1) == ["by-node", *reversed(ids)]
    assert await queue.control.rescue() == []
    async with running_worker(app, "default", concurrency=1) as (_, recorder):
        began = await recorder.wait_for("job_started", JOBS + 2)
        await recorder.wait_for("job_completed", JOBS + 2)
    assert [told.arguments[0].id for told in began] == [*ids, "by-node", first]

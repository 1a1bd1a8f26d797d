from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bullq import (
    ActionRefused,
    Bullq,
    InvalidOptionError,
    Job,
    JobNotFound,
    JobState,
    Observer,
    job,
)
from bullq.queues.editing import JobEditor
from bullq.queues.queue import JobQueue
from tests.integration.queues.conftest import Work
from tests.support.deadline import DEADLINE


@pytest.fixture
def work() -> Job[Work, int]:
    @job(queue="default", name="work", attempts=2)
    async def run(data: Work) -> int:
        if data.fails:
            raise RuntimeError("no")
        return 1

    return run


async def test_a_retried_job_keeps_its_attempts_unless_they_are_reset(
    app: Bullq, queue: JobQueue, work: Job[Work, int]
) -> None:
    failed = await work.dispatch(Work(fails=True), attempts=1)
    await app.worker("default", Observer()).run(burst=True)
    await queue.jobs.retry(failed.id)
    record = await queue.view.job(failed.id)
    assert record is not None
    assert (record.attempts_made, record.attempts_started, record.failed_reason) == (1, 1, None)
    await app.worker("default", Observer()).run(burst=True)
    await queue.jobs.retry(failed.id, reset_attempts=True)
    record = await queue.view.job(failed.id)
    assert record is not None
    assert (record.attempts_made, record.attempts_started) == (0, 0)


async def test_a_completed_job_runs_again(
    app: Bullq, queue: JobQueue, work: Job[Work, int]
) -> None:
    receipt = await work.dispatch(Work())
    await app.worker("default", Observer()).run(burst=True)
    await queue.jobs.retry(receipt.id, JobState.COMPLETED)
    assert await receipt.status() == "waiting"
    await app.worker("default", Observer()).run(burst=True)
    assert await receipt.result(timeout=DEADLINE) == 1


async def test_a_job_is_promoted_delayed_anew_and_given_another_priority(
    queue: JobQueue, work: Job[Work, int]
) -> None:
    receipt = await work.dispatch(Work(), delay=3600)
    await queue.jobs.change_delay(receipt.id, 7200)
    record = await queue.view.job(receipt.id)
    assert record is not None
    assert record.delay == 7_200_000
    await queue.jobs.change_priority(receipt.id, 5)
    await queue.jobs.promote(receipt.id)
    assert await receipt.status() == "prioritized"
    await queue.jobs.change_priority(receipt.id, 0)
    assert await receipt.status() == "waiting"


async def test_data_progress_and_log_are_changed(queue: JobQueue, work: Job[Work, int]) -> None:
    job_id = (await work.dispatch(Work())).id
    await queue.jobs.update_data(job_id, {"fails": True})
    await queue.jobs.update_progress(job_id, {"page": 3})
    assert [await queue.jobs.add_log(job_id, row) for row in ("a", "b", "c")] == [1, 2, 3]
    assert await queue.jobs.add_log(job_id, "d", keep=3) == 3
    record = await queue.view.job(job_id)
    assert record is not None
    assert (json.loads(record.data), record.progress) == ({"fails": True}, {"page": 3})
    assert await queue.view.logs(job_id) == ["b", "c", "d"]
    await queue.jobs.clear_logs(job_id, keep=1)
    assert await queue.view.logs(job_id) == ["d"]
    await queue.jobs.clear_logs(job_id)
    assert await queue.view.logs(job_id) == []


async def test_a_removed_job_is_gone_with_its_deduplication(
    queue: JobQueue, work: Job[Work, int]
) -> None:
    receipt = await work.dispatch(Work(), deduplication_id="one")
    assert await queue.view.deduplicated_by("one") == receipt.id
    await queue.jobs.remove(receipt.id)
    assert await queue.view.job(receipt.id) is None
    assert await queue.view.deduplicated_by("one") is None
    assert not await queue.jobs.forget_deduplication("one")


Call = Callable[[JobEditor, str], Coroutine[Any, Any, Any]]
CALLS: dict[str, Call] = {
    "retry": lambda jobs, id_: jobs.retry(id_),
    "promote": lambda jobs, id_: jobs.promote(id_),
    "remove": lambda jobs, id_: jobs.remove(id_),
    "change_delay": lambda jobs, id_: jobs.change_delay(id_, 1),
    "change_priority": lambda jobs, id_: jobs.change_priority(id_, 1),
    "update_data": lambda jobs, id_: jobs.update_data(id_, {}),
    "update_progress": lambda jobs, id_: jobs.update_progress(id_, 1),
    "add_log": lambda jobs, id_: jobs.add_log(id_, "row"),
    "clear_logs": lambda jobs, id_: jobs.clear_logs(id_),
    "leave_parent": lambda jobs, id_: jobs.leave_parent(id_),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_job_that_is_not_there_is_told_and_nothing_is_left(
    queue: JobQueue, prefix: str, call: str
) -> None:
    with pytest.raises(JobNotFound, match=r"No job has the id 'nowhere' on the queue 'default'"):
        await CALLS[call](queue.jobs, "nowhere")
    assert await queue.store.client().keys(f"{prefix}:*nowhere*") == []


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("retry", "cannot be retried: it is not failed"),
        ("promote", "cannot be promoted: it is not delayed"),
        ("change_delay", "cannot be delayed anew: it is not delayed"),
        ("leave_parent", "has no parent"),
    ],
)
async def test_what_a_jobs_state_forbids_is_refused(
    queue: JobQueue, work: Job[Work, int], call: str, why: str
) -> None:
    receipt = await work.dispatch(Work())
    with pytest.raises(ActionRefused, match=why):
        await CALLS[call](queue.jobs, receipt.id)
    assert await receipt.status() == "waiting"


async def test_a_job_that_a_worker_runs_and_the_run_of_a_schedule_are_not_removed(
    queue: JobQueue, work: Job[Work, int]
) -> None:
    receipt = await work.dispatch(Work())
    client, key = queue.store.client(), queue.keys.job(receipt.id)
    await client.set(f"{key}:lock", "token", px=60_000)
    with pytest.raises(ActionRefused, match="a worker runs it"):
        await queue.jobs.remove(receipt.id)
    await queue.live.upsertJobScheduler("hourly", {"every": 3_600_000}, "work", {}, {})
    [run] = await queue.view.jobs(JobState.WAITING, 0, 0, newest_first=True)
    with pytest.raises(ActionRefused, match="belongs to a schedule; remove the schedule"):
        await queue.jobs.remove(run.id)
    assert await queue.view.job(run.id) is not None


async def test_impossible_values_are_refused(queue: JobQueue, work: Job[Work, int]) -> None:
    receipt = await work.dispatch(Work())
    with pytest.raises(InvalidOptionError, match="priority is from 1"):
        await queue.jobs.change_priority(receipt.id, -1)
    with pytest.raises(ValueError, match="a duration is 0 seconds or more"):
        await queue.jobs.change_delay(receipt.id, -1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        await queue.jobs.update_data(receipt.id, float("nan"))

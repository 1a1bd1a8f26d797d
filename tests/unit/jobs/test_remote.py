from __future__ import annotations

import sys

import pytest
from pydantic import BaseModel

from bullq import Bullq, JobDefinitionError, Observer, RemoteJob, RemoteJobError, job
from bullq.jobs.discovery import jobs_in
from bullq.jobs.registry import JobRegistry
from bullq.settings import Settings


class Page(BaseModel):
    sku: str


refresh = RemoteJob(queue="storefront", name="refresh", data=Page, result=int, attempts=3)


@job(queue="default")
def here(page: Page) -> None: ...


def test_it_has_a_place_types_and_a_policy() -> None:
    assert (refresh.queue, refresh.name, refresh.policy.attempts) == ("storefront", "refresh", 3)
    assert refresh.payload.encode(Page(sku="a")) == {"sku": "a"}
    assert refresh.result.decode("7") == 7
    assert repr(refresh) == "<RemoteJob storefront/refresh>"


def test_without_a_result_it_gives_none() -> None:
    silent = RemoteJob(queue="storefront", name="silent", data=Page)
    assert silent.result.decode("null") is None


async def test_nothing_here_runs_it() -> None:
    with pytest.raises(RemoteJobError, match="storefront/refresh is run by another service"):
        await refresh.function(Page(sku="a"))


def test_it_belongs_to_the_module_that_makes_it() -> None:
    assert jobs_in(sys.modules[__name__]) == [refresh, here]


@pytest.mark.parametrize(
    ("data", "result", "problem"),
    [
        (int, int, "payload type int is no JSON object"),
        (Page, object(), "its result: pydantic cannot read the type"),
    ],
)
def test_types_that_cannot_be_are_told_with_the_job(
    data: type[object], result: type[object], problem: str
) -> None:
    wrong = RemoteJob(queue="storefront", name="wrong", data=data, result=result)
    with pytest.raises(JobDefinitionError, match=problem) as raised:
        JobRegistry([wrong])
    assert f"{__name__}: the remote job storefront/wrong: " in str(raised.value)


def test_a_queue_has_either_jobs_of_its_own_or_remote_ones() -> None:
    @job(queue="storefront")
    def own(page: Page) -> None: ...

    with pytest.raises(JobDefinitionError) as raised:
        JobRegistry([refresh, own, here])
    [problem] = raised.value.problems
    assert problem.startswith(f"{own.location}: the queue 'storefront' has jobs that another")


async def test_workers_leave_its_queue_alone() -> None:
    app = Bullq(jobs=[refresh, here], settings=Settings())
    assert "storefront" in app.queues.names
    assert app.own_queues == ["default", "data-sync", "scheduled"]
    app.check_own("default")
    with pytest.raises(RemoteJobError, match=r"works on the queue 'storefront'.*\(refresh\)"):
        app.check_own("storefront")
    with pytest.raises(RemoteJobError):
        app.worker("storefront", Observer())

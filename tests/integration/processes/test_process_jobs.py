from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bullq import JobFailed, QueueSpec
from tests.conftest import AppFactory
from tests.integration.processes import heavy
from tests.integration.processes.heavy import Number, Work
from tests.integration.processes.looking import alive, until_gone, until_noted
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker

ALL = (
    *(heavy.work, heavy.die_once, heavy.later, heavy.spin, heavy.liar, heavy.double),
    *(heavy.leave_fork, heavy.end_forks),
)
SHORT = QueueSpec(name="short", drain_timeout=0)


async def test_jobs_run_in_warm_processes_and_give_typed_results(make_app: AppFactory) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default", concurrency=1):
        first = await (await heavy.work.dispatch(Work())).result(timeout=DEADLINE)
        second = await (await heavy.work.dispatch(Work(how="print"))).result(timeout=DEADLINE)
        doubled = await (await heavy.double.dispatch(Number(number=21))).result(timeout=DEADLINE)
    assert first.pid == second.pid != os.getpid()
    assert second.at > first.at
    assert doubled == 42
    await until_gone(first.pid)


async def test_a_big_payload_crosses(make_app: AppFactory, tmp_path: Path) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default"):
        receipt = await heavy.work.dispatch(Work(how="x" * 3_000_000))
        assert (await receipt.result(timeout=DEADLINE)).pid != os.getpid()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("segfault", "the process that ran the job was killed by signal 11 (SIGSEGV)"),
        ("exit", "the process that ran the job ended by itself with exit code 3"),
        (
            "kill",
            "the process that ran the job was killed by signal 9 (SIGKILL), "
            "as the kernel does where memory runs out",
        ),
        ("raise", "KeyError: 'till'"),
        ("give up", "the till is closed"),
        ("sys.exit", "enough"),
        ("group", "two tills (2 sub-exceptions): GiveUp: closed; KeyError: 'till'"),
        ("surrogate", "half a character \\udc80"),
    ],
)
async def test_what_ends_a_process_or_a_job_in_it_fails_that_job_alone(
    make_app: AppFactory, how: str, reason: str
) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default") as (_, recorder):
        doomed = await heavy.work.dispatch(Work(how=how))
        with pytest.raises(JobFailed) as failed:
            await doomed.result(timeout=DEADLINE)
        assert failed.value.reason == reason
        beside = await heavy.work.dispatch(Work())
        await beside.result(timeout=DEADLINE)
    assert recorder.counts["job_lost"] == recorder.counts["trouble"] == 0


async def test_the_trace_is_that_of_the_job_in_its_process(make_app: AppFactory) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default") as (_, recorder):
        receipt = await heavy.work.dispatch(Work(how="raise"))
        await recorder.wait_for("job_failed")
        trace = await app.store.client().hget(
            app.queue("default").keys.job(receipt.id), "stacktrace"
        )
    assert "heavy.py" in trace
    assert "KeyError: 'till'" in trace
    assert "processor.py" not in trace


@pytest.mark.parametrize("job", [heavy.die_once, heavy.later], ids=lambda job: job.name)
async def test_a_job_is_tried_again_as_its_attempts_allow(
    make_app: AppFactory, tmp_path: Path, job: Any
) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default") as (_, recorder):
        receipt = await job.dispatch(Work(file=tmp_path / "once"))
        assert await receipt.result(timeout=DEADLINE) == "second attempt"
    assert recorder.counts["job_retried"] == 1


async def test_a_process_has_ended_though_what_its_job_has_forked_lives(
    make_app: AppFactory, tmp_path: Path
) -> None:
    app = make_app(*ALL)
    notes = tmp_path / "pids"
    async with running_worker(app, "default"):
        receipt = await heavy.leave_fork.dispatch(Work(file=notes))
        with pytest.raises(JobFailed, match="ended by itself with exit code 3"):
            await receipt.result(timeout=DEADLINE)
        for pid in notes.read_text().split() if notes.exists() else []:
            await until_gone(int(pid))


async def test_what_a_job_forks_ends_by_the_signals_it_is_sent(make_app: AppFactory) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default"):
        receipt = await heavy.end_forks.dispatch(Work())
        assert await receipt.result(timeout=DEADLINE) == {-signal.SIGTERM}


async def test_a_result_of_another_type_fails_the_job_unretried(make_app: AppFactory) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default"):
        with pytest.raises(JobFailed, match=r"its result of type 'str' does not fit .* int"):
            await (await heavy.liar.dispatch(Work())).result(timeout=DEADLINE)


async def test_a_timeout_kills_the_process_and_frees_the_slot(
    make_app: AppFactory, tmp_path: Path
) -> None:
    app = make_app(*ALL)
    notes = tmp_path / "pids"
    async with running_worker(app, "default", concurrency=1):
        # The process has started before the time of the job begins.
        await (await heavy.work.dispatch(Work())).result(timeout=DEADLINE)
        receipt = await heavy.spin.dispatch(Work(file=notes))
        with pytest.raises(JobFailed, match=r"longer than its timeout of 1\.0 s"):
            await receipt.result(timeout=DEADLINE)
        await until_gone((await until_noted(notes))[0])
        await (await heavy.work.dispatch(Work())).result(timeout=DEADLINE)


async def test_a_stop_kills_the_process_and_puts_the_job_back(
    make_app: AppFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for the process only, not for the time that jobs have to clean up."""
    monkeypatch.setattr("bullq.worker.worker._CANCEL_GRACE", 3600)
    app = make_app(heavy.spin_long, queues=[SHORT])
    notes = tmp_path / "pids"
    async with running_worker(app, "short") as (_, recorder):
        receipt = await heavy.spin_long.dispatch(Work(file=notes))
        pids = await until_noted(notes)
    assert not alive(pids[0])
    assert recorder.counts["job_returned"] == 1
    assert await receipt.status() == "waiting"


async def test_a_lost_lock_kills_the_process(make_app: AppFactory, tmp_path: Path) -> None:
    app = make_app(heavy.spin_long, queues=[SHORT])
    notes = tmp_path / "pids"
    async with running_worker(app, "short", renew_locks_every=0.2) as (_, recorder):
        receipt = await heavy.spin_long.dispatch(Work(file=notes))
        pids = await until_noted(notes)
        await app.store.client().set(app.queue("short").keys.job(receipt.id) + ":lock", "other")
        await recorder.wait_for("job_lost")
        await until_gone(pids[0])


async def test_a_process_killed_in_its_sleep_is_replaced(make_app: AppFactory) -> None:
    app = make_app(*ALL)
    async with running_worker(app, "default", concurrency=1) as (_, recorder):
        first = await (await heavy.work.dispatch(Work())).result(timeout=DEADLINE)
        os.kill(first.pid, signal.SIGKILL)
        await until_gone(first.pid)
        second = await (await heavy.work.dispatch(Work())).result(timeout=DEADLINE)
    assert second.pid != first.pid
    assert recorder.counts["job_failed"] == 0


async def test_a_process_is_replaced_after_its_share_of_calls(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bullq.worker.processes.CALLS_EACH", 2)
    app = make_app(*ALL)
    async with running_worker(app, "default", concurrency=1):
        receipts = await heavy.work.dispatch_many([Work()] * 4)
        pids = [(await receipt.result(timeout=DEADLINE)).pid for receipt in receipts]
    assert pids[0] == pids[1] != pids[2] == pids[3]

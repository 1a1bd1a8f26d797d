"""`bullq serve` and `bullq worker --engine inngest`, against the double of Inngest's server."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.commands import Project
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble


@pytest.fixture
async def double() -> AsyncIterator[InngestDouble]:
    async with InngestDouble(speed=20).running() as running:
        yield running


@pytest.fixture
def project(project: Project, double: InngestDouble) -> Project:
    project.environment |= {"INNGEST_DEV": "1", "INNGEST_BASE_URL": double.url}
    return project


async def hello_is_run(double: InngestDouble, job_id: str) -> None:
    double.send("bullq/default.hello", {"name": "Ada"}, id=job_id)
    run = await double.finished(job_id)
    assert (run.status, run.output) == ("Completed", "Hello, Ada!")


async def test_serve_registers_runs_jobs_puts_them_on_record_and_stops_in_order(
    project: Project, double: InngestDouble
) -> None:
    with project.running("serve", "--port", "0", "--json") as process:
        line = await asyncio.to_thread(process.wait_for, '"serving"')
        origin = json.loads(line)["url"].removesuffix("/api/inngest")
        await asyncio.to_thread(process.wait_for, "Inngest knows all jobs")
        async with httpx.AsyncClient(base_url=origin) as http:
            assert (await http.get("/health/live")).status_code == 200
            ready = await http.get("/health/ready")
            assert (ready.status_code, ready.json()["missing"]) == (200, [])
        await hello_is_run(double, "a")
        await asyncio.to_thread(process.wait_for, '"completed"')
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0
    shown = await asyncio.to_thread(project.answer, "jobs", "show", "a")
    assert (shown["state"], shown["result"]) == ("completed", "Hello, Ada!")
    assert shown["logs"] == ["greeting Ada"]


async def test_readiness_says_that_no_server_is_there(project: Project) -> None:
    project.environment["INNGEST_BASE_URL"] = "http://127.0.0.1:1"
    with project.running("serve", "--port", "0") as process:
        line = await asyncio.to_thread(process.wait_for, "serving url=")
        origin = line.partition("url=")[2].partition("/api/")[0]
        async with httpx.AsyncClient(base_url=origin) as http:
            ready = await http.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["reason"].startswith("No Inngest server at http://127.0.0.1:1")


async def test_a_worker_runs_jobs_over_a_connection(
    project: Project, double: InngestDouble
) -> None:
    with project.running("worker", "--engine", "inngest", "--name", "one") as process:
        await asyncio.wait_for(double.gateway.ready.wait(), DEADLINE)
        assert double.gateway.workers == ["one"]
        await hello_is_run(double, "a")
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0


def test_an_endpoint_without_a_key_is_not_opened(project: Project) -> None:
    project.environment["INNGEST_DEV"] = "0"
    done = project.run("serve", "--port", "0")
    assert done.returncode == 2
    assert "INNGEST_SIGNING_KEY is not set, so that anybody could run jobs" in done.stderr


def test_a_port_that_is_taken_is_told(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = project.run("serve", "--port", port)
    assert done.returncode == 2
    assert f"error: Nothing can listen on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_what_inngest_cannot_do_is_refused(project: Project) -> None:
    done = project.run("worker", "--engine", "inngest", "--queue", "default")
    assert done.returncode == 2
    assert "--queue is for BullMQ: Inngest hands out the jobs of all queues" in done.stderr

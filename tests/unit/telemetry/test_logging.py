from __future__ import annotations

import inspect
import io
import json
import re
from typing import Any

import pytest

from bullq.telemetry.hooks import CanaryEvent, DispatchEvent, JobEvent, Observer
from bullq.telemetry.logging import LoggingObserver

CALLS = [name for name in vars(Observer) if not name.startswith("_")]


def event(**given: Any) -> JobEvent:
    values: dict[str, Any] = {
        "queue": "default",
        "name": "mail",
        "id": "order-7",
        "attempt": 1,
        "attempts": 3,
        "waited_ms": 5,
        "ran_ms": 12.34,
    }
    return JobEvent(**{**values, **given})


def written(call: str, *arguments: Any, **options: Any) -> str:
    stream = io.StringIO()
    getattr(LoggingObserver(stream=stream, **options), call)(*arguments)
    return stream.getvalue()


def line(call: str, *arguments: Any) -> str:
    """Give the one line of text, without its time."""
    text = written(call, *arguments)
    match = re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} (.*)\n", text)
    assert match, f"not one line with a time: {text!r}"
    return match[1]


@pytest.mark.parametrize(
    ("call", "arguments", "text"),
    [
        ("job_completed", [event()], "completed default/mail order-7 in 12 ms"),
        (
            "job_completed",
            [event(attempt=2)],
            "completed default/mail order-7 in 12 ms (attempt 2 of 3)",
        ),
        (
            "job_failed",
            [event(attempt=3), "no money"],
            "! failed default/mail order-7 in 12 ms (attempt 3 of 3): no money",
        ),
        (
            "job_retried",
            [event(), "busy", 1_500],
            "~ retrying default/mail order-7 in 12 ms (attempt 1 of 3) again_in=1.5 s: busy",
        ),
        ("job_parked", [event()], "parked default/mail order-7 in 12 ms"),
        ("job_returned", [event()], "returned default/mail order-7 in 12 ms"),
        (
            "job_lost",
            [event(), "its lock is lost"],
            "! lost default/mail order-7 in 12 ms (attempt 1 of 3): its lock is lost",
        ),
        (
            "worker_started",
            ["default", "w1", 10],
            "worker started queue=default worker=w1 concurrency=10",
        ),
        (
            "worker_stopping",
            ["default", 3, 30_000],
            "worker stopping queue=default running=3 drain=30.0 s",
        ),
        ("worker_stopped", ["default", 0], "worker stopped queue=default returned=0"),
        (
            "job_discarded",
            ["default", "ghost"],
            "~ discarded an id without a job queue=default id=ghost",
        ),
        (
            "jobs_stalled",
            ["default", ["a", "b"]],
            "~ took back stalled jobs queue=default ids=a, b",
        ),
        (
            "jobs_rerouted",
            ["default", ["a", "b"]],
            "~ sent to Inngest, as no worker began them in time queue=default ids=a, b",
        ),
        (
            "job_dispatched",
            [DispatchEvent("default", "mail", "7", "inngest", "sent", "no-workers", 41.2)],
            "~ fell back queue=default name=mail id=7 engine=inngest state=sent why=no-workers "
            "took=41 ms",
        ),
        (
            "job_dispatched",
            [DispatchEvent("default", "mail", "7", "", "in-doubt", "redis-silent", 2_000.0)],
            "! not dispatched queue=default name=mail id=7 engine=none state=in-doubt "
            "why=redis-silent took=2.0 s",
        ),
        ("breaker_changed", ["bullmq", "open"], "~ breaker engine=bullmq state=open"),
        ("outbox_changed", [3, 2_000], "~ outbox jobs=3 oldest=2.0 s"),
        (
            "canary_came",
            [CanaryEvent("default", "inngest", came=False, took_ms=9_000, reason="lost")],
            "! canary died queue=default engine=inngest took=9.0 s: lost",
        ),
        ("redis_lost", ["default", "refused"], "! redis lost queue=default: refused"),
        ("redis_back", ["default", 2_000], "~ redis back queue=default after=2.0 s"),
        (
            "schedule_changed",
            ["default", "bullq-x", "made"],
            "schedule made queue=default schedule=bullq-x",
        ),
        (
            "loop_blocked",
            ["default", 1_200.0, event()],
            "~ event loop blocked queue=default since=1.2 s by=default/mail id=order-7",
        ),
        (
            "loop_blocked",
            ["default", 1_200.0, None],
            "~ event loop blocked queue=default since=1.2 s",
        ),
        ("process_started", [2, 4711], "process started number=2 pid=4711"),
        ("process_ended", [2, 4711, "stopped", None], "process ended number=2 pid=4711: stopped"),
        (
            "process_died",
            [2, 4711, "was killed by signal 9 (SIGKILL)", 200],
            "! process died number=2 pid=4711 again_in=200 ms: was killed by signal 9 (SIGKILL)",
        ),
        ("trouble", ["default", "it broke"], "! it broke queue=default"),
        (
            "trouble",
            ["default", "it broke", ValueError("how")],
            "! it broke queue=default: ValueError: how",
        ),
    ],
)
def test_each_thing_that_happens_is_one_readable_line(
    call: str, arguments: list[Any], text: str
) -> None:
    assert line(call, *arguments) == text


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("job_failed", [event(), "one\n  two\r\nthree"]),
        ("job_failed", [event(name="mail\n00:00:00.000 completed"), "no"]),
        ("job_completed", [event(id="a\nb")]),
        ("trouble", ["default", "one\ntwo", ValueError("three\nfour")]),
    ],
)
def test_whatever_a_job_says_stays_on_its_line(call: str, arguments: list[Any]) -> None:
    line(call, *arguments)
    json.loads(written(call, *arguments, style="json"))


def test_every_call_of_an_observer_is_told_at_some_level() -> None:
    for name in CALLS:
        parameters = list(inspect.signature(getattr(Observer, name)).parameters)[1:]
        given = [
            event()
            if one == "job"
            else DispatchEvent("default", "mail", "7", "bullmq", "started", "", 1.0)
            if one == "dispatch"
            else CanaryEvent("default", "inngest", came=True, took_ms=1.0, reason="")
            if one == "canary"
            else 1
            if one.endswith("_ms")
            else ["a"]
            if one == "job_ids"
            else None
            if one == "error"
            else one
            for one in parameters
        ]
        assert written(name, *given, level="debug").count("\n") == 1, name


def test_json_lines_have_a_field_for_each_fact() -> None:
    told = json.loads(written("job_failed", event(), "no money", style="json"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", told.pop("timestamp"))
    assert told == {
        "event": "failed",
        "level": "error",
        "job": "default/mail",
        "id": "order-7",
        "attempt": 1,
        "attempts": 3,
        "waited_ms": 5,
        "ran_ms": 12.3,
        "reason": "no money",
    }


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", {"started", "completed", "retrying", "failed"}),
        ("info", {"completed", "retrying", "failed"}),
        ("warning", {"retrying", "failed"}),
        ("ERROR", {"failed"}),
    ],
)
def test_the_level_chooses_what_is_told(level: str, told: set[str]) -> None:
    stream = io.StringIO()
    observer = LoggingObserver("json", level, stream)
    observer.job_started(event())
    observer.job_completed(event())
    observer.job_retried(event(), "busy", 1)
    observer.job_failed(event(), "no")
    assert {json.loads(text)["event"] for text in stream.getvalue().splitlines()} == told


def test_lines_go_to_standard_error_unless_said(capsys: pytest.CaptureFixture[str]) -> None:
    LoggingObserver().worker_stopped("default", 0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "worker stopped" in captured.err

"""A double: the runs of Inngest's server side, which ask the endpoint for one step after another.

What it sends and how it goes on was made after recorded exchanges (inngest_wire.json), against
which it is tested. It keeps nothing on disk and has no flow control but concurrency.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bullq.dispatch.ids import new_job_id
from tests.support.inngest_expressions import holds, seconds, triggers

DEFAULT_ATTEMPTS = 5
DEFAULT_BACKOFF = 15.0  # seconds; the server's table begins with it
_ENDLESS = 1_100  # requests of one run; the server ends a run at 1,000 steps

Call = Callable[[str, dict[str, str], dict[str, Any]], Coroutine[Any, Any, "Answer"]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint answered; status 0 where it could not be reached."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Run:
    """One run of one function."""

    function: dict[str, Any]
    event: dict[str, Any]
    id: str = field(default_factory=new_job_id)
    memos: dict[str, Any] = field(default_factory=dict)
    stack: list[str] = field(default_factory=list)
    planned: bool = False
    status: str = "Running"
    output: Any = None
    requests: int = 0
    calls: set[asyncio.Task[Answer]] = field(default_factory=set)
    """Requests that the endpoint is answering now."""
    pauses: int = 0
    """How much it waits for: time, events and other runs."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def function_id(self) -> str:
        return str(self.function["id"])

    @property
    def max_attempts(self) -> int:
        retries = self.function["steps"]["step"].get("retries")
        return DEFAULT_ATTEMPTS if retries is None else int(retries["attempts"]) + 1

    def end(self, status: str, output: Any) -> None:
        if not self.ended.is_set():
            self.status, self.output = status, output
            self.ended.set()
            self.changed.set()

    async def paused(self) -> None:
        """Wait until the run waits for something, and asks for nothing."""
        while not (self.pauses and not self.calls) and not self.ended.is_set():
            self.changed.clear()
            await self.changed.wait()

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Count a pause for the length of the block."""
        self.pauses += 1
        self.changed.set()
        try:
            yield
        finally:
            self.pauses -= 1

    async def called(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for an answer, which the connection may be lost to."""
        task = asyncio.create_task(call)
        self.calls.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()
                raise
            return Answer(0, {}, None)
        finally:
            self.calls.discard(task)
            self.changed.set()


class Failed(Exception):  # noqa: N818 - what a run comes to
    """The run is over: the endpoint's error stands."""


class Runs:
    """All runs of one double. *speed* is how many seconds pass for it in one of the clock."""

    def __init__(self, call: Call, speed: float) -> None:
        self.all: list[Run] = []
        self.functions: dict[str, dict[str, Any]] = {}
        self._call = call
        self._speed = speed
        self._seen: set[tuple[str, str]] = set()
        self._waiting: list[tuple[dict[str, Any], Run, asyncio.Future[Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._begun = asyncio.Event()
        self.waits = asyncio.Event()
        """Set once a run has waited for an event."""

    async def of(self, event_id: str) -> Run:
        """Give the run that an event triggers, as soon as there is one."""
        while True:
            self._begun.clear()
            for run in self.all:
                if run.event["id"] == event_id:
                    return run
            await self._begun.wait()

    # --- events

    def event(self, event: dict[str, Any]) -> None:
        """Take one event: begin the runs it triggers, wake the runs that wait for it."""
        for operation, run, future in list(self._waiting):
            opts = operation["opts"]
            if operation["name"] != event["name"] or future.done():
                continue
            if holds(opts.get("if"), event=run.event, awaited=event):
                future.set_result(event)
        for run in self.all:
            if not run.ended.is_set() and any(
                one["event"] == event["name"]
                and holds(one.get("if"), event=run.event, awaited=event)
                for one in run.function.get("cancel") or ()
            ):
                run.end("Cancelled", None)
        for function in self.functions.values():
            if any(triggers(trigger, event) for trigger in function["triggers"]):
                self._trigger(function, event)

    def cron(self, function_id: str) -> Run:
        """Let a cron trigger fire now."""
        [cron] = [one["cron"] for one in self.functions[function_id]["triggers"] if "cron" in one]
        now = datetime.now(UTC).isoformat()
        data = {"cron": cron, "fireAt": now, "scheduledAt": now}
        return self._begin(self.functions[function_id], _new_event("inngest/scheduled.timer", data))

    def cancel(self, run_id: str) -> bool:
        """End a run before its next request; a request under way goes on."""
        [run] = [run for run in self.all if run.id == run_id]
        was_running = run.status == "Running"
        run.end("Cancelled", None)
        return was_running

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _trigger(self, function: dict[str, Any], event: dict[str, Any]) -> None:
        key = (function["id"], event["id"])
        if key in self._seen:
            return  # the sender learns nothing of it
        self._seen.add(key)
        self._begin(function, event, delay=event["ts"] / 1000 - time.time())

    def _begin(self, function: dict[str, Any], event: dict[str, Any], delay: float = 0.0) -> Run:
        run = Run(function, event)
        self.all.append(run)
        self._begun.set()
        task = asyncio.create_task(self._perform(run, delay), name=f"run of {run.function_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    # --- one run

    async def _perform(self, run: Run, delay: float) -> None:
        try:
            await self._pass(delay)
            while not run.ended.is_set():
                answer = await self._asked(run, "step")
                if answer.status == 200:
                    run.end("Completed", answer.body)
                elif answer.status == 206:
                    await self._operations(run, answer.body)
        except Failed as failed:
            run.end("Failed", failed.args[0])
            self._tell_failure(run, failed.args[0])

    async def _operations(self, run: Run, operations: list[dict[str, Any]]) -> None:
        if len(operations) > 1 or operations[0]["op"] == "StepPlanned":
            run.planned = True
        await asyncio.gather(*(self._operation(run, one) for one in operations))

    async def _operation(self, run: Run, operation: dict[str, Any]) -> None:
        match operation["op"]:
            case "StepPlanned":
                answer = await self._asked(run, operation["id"])
                [operation] = answer.body
                memo = _outcome(operation)
            case "StepRun" | "StepFailed" | "StepError":
                memo = _outcome(operation)
            case "Sleep":
                until = datetime.fromisoformat(operation["name"]).timestamp()
                with run.pausing():
                    await self._pass(until - time.time())
                memo = None
            case "WaitForEvent":
                with run.pausing():
                    memo = await self._awaited(run, operation)
            case "InvokeFunction":
                with run.pausing():
                    memo = await self._invoked(run, operation)
            case other:
                raise Failed({"name": "Unknown", "message": f"no such operation: {other}"})
        run.memos[operation["id"]] = memo
        run.stack.append(operation["id"])

    async def _asked(self, run: Run, target: str) -> Answer:
        """Ask until the endpoint has an answer that is no failure; spend the item's attempts."""
        job_id = secrets.token_hex(7)
        for attempt in itertools.count():
            if run.ended.is_set():
                raise asyncio.CancelledError
            run.requests += 1
            if run.requests > _ENDLESS:
                raise Failed({"name": "Endless", "message": "more than 1,000 steps"})
            async with self._slot(run.function):
                answer = await run.called(self._call(*_request(run, target, attempt, job_id)))
            error = _failure(answer)
            if error is None:
                return answer
            fatal = answer.headers.get("x-inngest-no-retry") == "true"
            if fatal or attempt + 1 >= run.max_attempts:
                raise Failed(error)
            await self._pass(_retry_wait(answer))
        raise AssertionError("unreachable")

    async def _awaited(self, run: Run, operation: dict[str, Any]) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        entry = (operation, run, future)
        self._waiting.append(entry)
        self.waits.set()
        try:
            async with asyncio.timeout(seconds(operation["opts"]["timeout"]) / self._speed):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting.remove(entry)

    async def _invoked(self, run: Run, operation: dict[str, Any]) -> Any:
        opts = operation["opts"]
        function = self.functions.get(opts["function_id"])
        if function is None:
            reason = f"could not find function with ID: {opts['function_id']}"
            return {"error": {"name": "InngestError", "message": reason}}
        told = {
            "correlation_id": f"{run.id}.{operation['id']}",
            "fn_id": opts["function_id"],
            "name": operation["name"],
        }
        data = {**as_floats(opts["payload"]["data"] or {}), "_inngest": told}
        child = self._begin(function, _new_event("inngest/function.invoked", data))
        await child.ended.wait()
        if child.status == "Completed":
            return {"data": as_floats(child.output)}
        return {"error": _plain_error(child.output)}

    def _tell_failure(self, run: Run, error: Any) -> None:
        data = {
            "_inngest": {"status": "Failed"},
            "error": {"error": "invalid status code: 500", **_plain_error(error)},
            "event": run.event,
            "events": [run.event],
            "function_id": run.function_id,
            "result": error,
            "run_id": run.id,
        }
        self.event(_new_event("inngest/function.failed", data))

    def _slot(self, function: dict[str, Any]) -> asyncio.Semaphore:
        """Give what bounds how many steps of the function run at once."""
        limits = function.get("concurrency") or []
        limit = limits[0]["limit"] if limits else 10_000
        key = (limits[0].get("key") if limits else None) or function["id"]
        return self._slots.setdefault(key, asyncio.Semaphore(limit))

    async def _pass(self, wait: float) -> None:
        if wait > 0:
            await asyncio.sleep(wait / self._speed)


def as_floats(value: Any) -> Any:
    """Give JSON data as a server does in an event, where each number was a float."""
    return json.loads(json.dumps(value), parse_int=lambda text: int(float(text)))


def _new_event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": data,
        "id": new_job_id(),
        "name": name,
        "ts": round(time.time() * 1000),
        "user": {},
    }


def _request(
    run: Run, target: str, attempt: int, job_id: str
) -> tuple[str, dict[str, str], dict[str, Any]]:
    version = -1 if run.requests == 1 else 2
    request_id = new_job_id()
    headers = {
        "user-agent": "Inngest",
        "content-type": "application/json",
        "x-inngest-generation-id": str(attempt + 1),
        "x-inngest-job-id": job_id,
        "x-inngest-req-version": str(version),
        "x-inngest-step-id": target,
        "x-request-id": request_id,
        "x-run-id": run.id,
    }
    ctx = {
        "attempt": attempt,
        "disable_immediate_execution": run.planned,
        "env": "",
        "fn_id": str(uuid.uuid5(uuid.NAMESPACE_OID, run.function_id)),
        "generation_id": attempt + 1,
        "job_id": job_id,
        "max_attempts": run.max_attempts,
        "qi_id": base64.b64encode(f"{job_id}::default".encode()).decode(),
        "request_id": request_id,
        "run_id": run.id,
        "stack": {"current": len(run.stack), "stack": list(run.stack)},
        "step_id": "step",
        "use_api": False,
    }
    body = {
        "ctx": ctx,
        "defers": {},
        "event": run.event,
        "events": [run.event],
        "steps": dict(run.memos),
        "use_api": False,
        "version": version,
    }
    url = run.function["steps"]["step"]["runtime"]["url"]
    return re.sub(r"stepId=\w+", f"stepId={target}", url), headers, body


def _failure(answer: Answer) -> Any:
    """Give the error for which the request is repeated, or None."""
    if answer.status == 200:
        return None
    if answer.status == 206:
        [first, *others] = answer.body
        return first["error"] if first["op"] == "StepError" and not others else None
    if isinstance(answer.body, dict):
        return answer.body
    return {"name": "HTTPError", "message": f"the endpoint answered {answer.status}"}


def _retry_wait(answer: Answer) -> float:
    until = answer.headers.get("retry-after")
    if until is None:
        return DEFAULT_BACKOFF
    if until.isdigit():
        return float(until)
    return datetime.fromisoformat(until).timestamp() - time.time()


def _outcome(operation: dict[str, Any]) -> dict[str, Any]:
    if operation["op"] == "StepRun":
        return {"data": operation["data"]}
    return {"error": _plain_error(operation["error"])}


def _plain_error(error: Any) -> dict[str, Any]:
    told = error if isinstance(error, dict) else {"name": "Error", "message": str(error)}
    return {name: told[name] for name in ("message", "name", "stack") if told.get(name)}

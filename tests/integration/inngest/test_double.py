"""The double of Inngest's server asks the SDK what a real server has asked it, in that order."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fastapi
import httpx
import inngest
import inngest.fast_api
import pytest

from tests.support import inngest_double
from tests.support.inngest_double import InngestDouble, serving

RECORD: dict[str, list[Any]] = json.loads(
    (Path(inngest_double.__file__).parent / "inngest_wire.json").read_text(encoding="utf-8")
)["scenarios"]


def functions(client: inngest.Inngest) -> list[inngest.Function[Any]]:
    """The functions that answered when the record was made."""

    def on(name: str, function: Any, **options: Any) -> inngest.Function[Any]:
        trigger = inngest.TriggerEvent(event=f"t/{name}")
        made: inngest.Function[Any] = client.create_function(
            fn_id=name, trigger=trigger, **options
        )(function)
        return made

    return [
        on("three", three, retries=1),
        on("par", par),
        on("err", err, retries=1),
        on("fatal", fatal, retries=3),
        on("child", child),
        on("wait", wait),
        on("wf", wf, retries=0, on_failure=wf_failed),
    ]


async def n() -> dict[str, int]:
    return {"n": 1}


async def three(ctx: inngest.Context) -> str:
    await ctx.step.run("a", n)
    await ctx.step.sleep("nap", timedelta(seconds=1))
    await ctx.step.run("b", n)
    return "ok"


async def par(ctx: inngest.Context) -> list[Any]:
    steps: Any = (
        lambda: ctx.step.run("p0", lambda: 0),  # type: ignore[arg-type, return-value]
        lambda: ctx.step.run("p1", lambda: 1),  # type: ignore[arg-type, return-value]
        lambda: ctx.step.sleep("ps", timedelta(seconds=1)),
    )
    return list(await ctx.group.parallel(steps))


async def err(ctx: inngest.Context) -> None:
    async def a() -> None:
        raise ValueError("boom")

    try:
        await ctx.step.run("a", a)
    except inngest.StepError:
        raise inngest.RetryAfterError("later", 1500) from None


async def fatal(ctx: inngest.Context) -> None:
    raise inngest.NonRetriableError("no")


async def child(ctx: inngest.Context) -> int:
    return 7


async def wait(ctx: inngest.Context) -> list[Any]:
    signal = await ctx.step.wait_for_event("w", event="t/sig", timeout=timedelta(seconds=2))
    result = await ctx.step.invoke_by_id("i", function_id="child", data={"n": 1})
    sent = await ctx.step.send_event("se", inngest.Event(name="t/none"))
    return [signal and signal.name, result, len(sent)]


async def wf_failed(ctx: inngest.Context) -> None:
    return None


async def wf(ctx: inngest.Context) -> None:
    raise KeyError("k")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("inngest")
    level, logger.level = logger.level, logging.CRITICAL
    yield
    logger.level = level


@pytest.fixture
async def double() -> AsyncIterator[InngestDouble]:
    server = InngestDouble(speed=20)
    async with server.running():
        client = inngest.Inngest(
            app_id="probe",
            is_production=False,
            api_base_url=server.url,
            event_api_base_url=server.url,
        )
        app = fastapi.FastAPI()
        inngest.fast_api.serve(app, client, functions(client))
        async with serving(app) as url, httpx.AsyncClient() as http:
            response = await http.put(f"{url}/api/inngest")
            server.exchanges.append(_shape_of_answer(response))
            yield server


def _shape_of_answer(response: httpx.Response) -> dict[str, Any]:
    return {
        "request": {"method": "PUT", "query": {}, "headers": {}},
        "response": {
            "status": response.status_code,
            "headers": dict(response.headers),
            "body": response.json(),
        },
    }


async def test_registration_is_answered_as_by_a_real_server(double: InngestDouble) -> None:
    assert shape(double.exchanges[0]) == shape(RECORD["registration"][0])


@pytest.mark.parametrize("scenario", ["three", "par", "err", "fatal", "wait", "wf"])
async def test_a_run_is_asked_for_as_by_a_real_server(double: InngestDouble, scenario: str) -> None:
    await double.finished(double.send(f"t/{scenario}"))
    for run in double.runs.all:
        await run.ended.wait()

    assert [shape(one) for one in double.exchanges[1:]] == [shape(one) for one in RECORD[scenario]]


async def test_a_signal_wakes_the_run_that_waits_for_it(double: InngestDouble) -> None:
    event = double.send("t/wait")
    await double.runs.waits.wait()
    double.send("t/sig", {"v": 1})
    await double.finished(event)

    recorded = RECORD["wait+signal"]
    assert [shape(one) for one in double.exchanges[1:]] == [shape(one) for one in recorded]


def shape(exchange: dict[str, Any]) -> Any:
    """Leave of an exchange what has to be equal: no ids made by chance, no times, no traces."""
    request = exchange["request"]
    asked = _same(request.get("body"))
    headers = {
        name: value
        for name, value in request["headers"].items()
        if name in {"x-inngest-generation-id", "x-inngest-req-version", "x-inngest-step-id"}
    }
    response = exchange["response"]
    told = {
        name: "(time)" if name == "retry-after" else value
        for name, value in response["headers"].items()
        if (name.startswith("x-inngest-") and name != "x-inngest-sdk") or name == "retry-after"
    }
    return {
        "method": request["method"],
        "query": request["query"],
        "headers": headers,
        "asked": asked,
        "status": response["status"],
        "told": told,
        "answered": _same(response["body"]),
    }


_LEFT_OUT = {"qi_id", "job_id", "request_id", "correlation_id", "events", "source_fn_id"}
_BY_CHANCE = {"run_id", "id", "fn_id", "sync_id", "app_id"}


def _same(value: Any, key: str = "") -> Any:
    """Replace what differs from run to run by a name for it."""
    if isinstance(value, dict):
        return {name: _same(one, name) for name, one in value.items() if name not in _LEFT_OUT}
    if isinstance(value, list):
        return [_same(one) for one in value]
    if value is None or not isinstance(value, str | int):
        return value
    return _named(str(value), key) or value


def _named(text: str, key: str) -> str | None:
    """Name a value that is another one in each run, or give None."""
    if key in {"ts", "stack"}:
        return f"({key})"
    if key == "name" and text.startswith("20"):
        return "(time)"
    is_id = len(text) in {26, 36} and (key in _BY_CHANCE or text.startswith("01"))
    return "(id)" if is_id else None

"""What the endpoint answers to requests that are not, or not any more, those of its server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import fastapi
import httpx
import pytest
from pydantic import BaseModel

from bullq import Bullq, Context, SettingsError, job
from bullq.engines.inngest import signatures
from bullq.settings import Settings
from bullq.web import asgi, mount
from bullq.web.endpoint import Bounds
from tests.conftest import AppFactory
from tests.integration.inngest.conftest import SIGNING_KEY, SiteFactory
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import bare_key, sign

OTHER_KEY = "signkey-prod-fedcba9876543210"
CALLS: list[str] = []


class Order(BaseModel):
    id: int = 0


@job(queue="default")
async def ship(order: Order) -> int:
    CALLS.append("ship")
    return order.id


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def in_production(make_app: AppFactory, **more: Any) -> Bullq:
    """An application whose Inngest server nobody needs to ask."""
    return make_app(
        ship, INNGEST_SIGNING_KEY=SIGNING_KEY, INNGEST_BASE_URL="http://127.0.0.1:1", **more
    )


@contextlib.asynccontextmanager
async def asking(web: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Ask a web application without a network between."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://x") as http:
        yield http


@pytest.fixture
async def http(make_app: AppFactory) -> AsyncIterator[httpx.AsyncClient]:
    web = asgi(in_production(make_app))
    async with asking(web) as client:
        yield client
    await web.state.bullq.functions.aclose()


def request_body(function: str = "bullq-default.ship", order: int = 7) -> bytes:
    ctx = {
        "attempt": 0,
        "disable_immediate_execution": False,
        "run_id": "01RUN",
        "stack": {"stack": [], "current": 0},
    }
    event = {"data": {"id": order}, "id": "e1", "name": "bullq/default.ship", "ts": 1, "user": {}}
    body = {"ctx": ctx, "event": event, "events": [event], "steps": {}, "use_api": False}
    return json.dumps(body).encode()


async def post(
    http: httpx.AsyncClient,
    body: bytes | Iterator[bytes] | AsyncIterator[bytes],
    signature: str | None,
    function: str = "bullq-default.ship",
    **headers: str,
) -> httpx.Response:
    if signature is not None:
        headers["x-inngest-signature"] = signature
    url = f"/api/inngest?fnId={function}&stepId=step"
    return await http.post(url, content=body, headers=headers)


async def test_a_request_of_the_server_runs_the_job_and_its_answer_is_signed(
    http: httpx.AsyncClient,
) -> None:
    body = request_body()
    response = await post(http, body, sign(body, SIGNING_KEY))
    assert (response.status_code, response.json()) == (200, 7)
    assert CALLS == ["ship"]
    assert response.headers["x-inngest-signature"].startswith("t=")


@pytest.mark.parametrize(
    ("what", "made"),
    [
        ("unsigned", lambda: None),
        ("signed by another key", lambda: sign(request_body(), OTHER_KEY)),
        ("signed for another body", lambda: sign(request_body(order=1), SIGNING_KEY)),
        ("empty", lambda: ""),
        ("malformed", lambda: "t=&s=abc"),
        ("without a time", lambda: "s=" + "0" * 64),
        ("no number", lambda: "t=now&s=" + "0" * 64),
        ("not ASCII", lambda: "t=1&s=%C3%A9"),
    ],
)
async def test_what_is_not_signed_by_the_server_is_refused(
    http: httpx.AsyncClient, what: str, made: Callable[[], str | None]
) -> None:
    response = await post(http, request_body(), made())
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"}), what
    assert CALLS == []


async def test_a_body_that_was_changed_on_its_way_is_refused(http: httpx.AsyncClient) -> None:
    body = request_body()
    signature = sign(body, SIGNING_KEY)
    response = await post(http, body.replace(b'"id": 7', b'"id": 8'), signature)
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})
    assert CALLS == []


async def test_a_body_that_is_no_json_is_refused(http: httpx.AsyncClient) -> None:
    response = await post(http, b"\xff{", f"t={round(time.time())}&s={'0' * 64}")
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (365 * 24 * 3600, r"315360\d\d s ago"),
        (310, r"31\d s ago"),
        (-310, r"3[01]\d s in the future"),
    ],
)
async def test_a_signature_is_good_for_five_minutes(
    http: httpx.AsyncClient, age: float, told: str
) -> None:
    body = request_body()
    response = await post(http, body, sign(body, SIGNING_KEY, time.time() - age))
    assert response.status_code == 401
    assert re.match(f"Unauthorized: it was signed {told}, ", response.json()["message"])
    assert CALLS == []


@pytest.mark.parametrize("age", [290, -290])
async def test_a_request_may_take_its_time_and_clocks_may_differ(
    http: httpx.AsyncClient, age: float
) -> None:
    body = request_body()
    response = await post(http, body, sign(body, SIGNING_KEY, time.time() - age))
    assert response.status_code == 200


async def test_a_time_that_was_made_younger_is_refused(http: httpx.AsyncClient) -> None:
    body = request_body()
    old = sign(body, SIGNING_KEY, time.time() - 1000)
    younger = f"t={round(time.time())}&{old.partition('&')[2]}"
    assert (await post(http, body, younger)).status_code == 401


async def test_the_second_key_is_good_while_the_first_is_replaced(make_app: AppFactory) -> None:
    web = asgi(in_production(make_app, INNGEST_SIGNING_KEY_FALLBACK=OTHER_KEY))
    body = request_body()
    async with asking(web) as http:
        response = await post(http, body, sign(body, OTHER_KEY))
    assert response.status_code == 200
    assert CALLS == ["ship"]


async def test_a_job_that_is_not_here_is_told(http: httpx.AsyncClient) -> None:
    body = request_body()
    response = await post(http, body, sign(body, SIGNING_KEY), "bullq-default.other")
    assert response.status_code == 500  # a replica that is not updated yet: the server asks again
    assert response.json()["code"] == "function_not_found"
    assert response.headers.get("x-inngest-no-retry") is None


async def test_a_job_that_is_not_here_is_told_to_nobody_else(http: httpx.AsyncClient) -> None:
    response = await post(http, request_body(), None, "bullq-default.other")
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_nobody_but_the_server_may_look_or_have_it_registered(
    http: httpx.AsyncClient, method: str
) -> None:
    response = await http.request(method, "/api/inngest")
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})


async def test_the_server_may(make_site: SiteFactory) -> None:
    site = await make_site(ship, signed=True)
    headers = {"x-inngest-signature": sign(b"", SIGNING_KEY)}
    async with httpx.AsyncClient(base_url=site.url) as http:
        for method in ("GET", "PUT"):
            response = await http.request(method, "/api/inngest", headers=headers)
            assert response.status_code == 200


async def test_other_methods_are_not_answered(http: httpx.AsyncClient) -> None:
    response = await http.delete("/api/inngest")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST, PUT")


async def test_a_body_that_says_it_is_too_large_is_not_read(make_site: SiteFactory) -> None:
    site = await make_site(ship, signed=True, bounds=Bounds(body_bytes=100_000))
    body = request_body() + b" " * 100_000
    async with httpx.AsyncClient(base_url=site.url) as http:
        response = await post(http, body, sign(body, SIGNING_KEY))
        assert response.status_code == 413
        assert response.json() == {"message": "The body has more than 100,000 bytes"}

        async def in_parts() -> AsyncIterator[bytes]:
            for _ in range(15):
                yield b" " * 10_000

        response = await post(http, in_parts(), sign(body, SIGNING_KEY))
        assert response.status_code == 413

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b" " * 10_000

        with pytest.raises(httpx.TransportError):  # it is cut off
            await post(http, endless(), sign(body, SIGNING_KEY))
    assert CALLS == []


@pytest.mark.parametrize(
    ("signature", "status"),
    [(b"x-inngest-signature: t=1&s=1\r\n", b"408 Request Timeout"), (b"", b"401 Unauthorized")],
    ids=["signed", "unsigned"],
)
async def test_a_body_that_does_not_come_is_not_waited_for(
    make_site: SiteFactory, signature: bytes, status: bytes
) -> None:
    bounds = Bounds(body_time=0.1 if signature else 60)
    site = await make_site(ship, signed=True, bounds=bounds)
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"POST /api/inngest HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n"
    writer.write(head + signature + b"\r\nslow")
    async with asyncio.timeout(DEADLINE):
        told = await reader.readline()
    writer.close()
    assert told == b"HTTP/1.1 " + status + b"\r\n"


async def test_work_of_inngest_leaves_room_for_the_rest(make_site: SiteFactory) -> None:
    go_on = asyncio.Event()
    began = asyncio.Semaphore(0)

    @job(queue="default", name="slow")
    async def slow(order: Order, ctx: Context) -> None:
        began.release()
        await go_on.wait()

    site = await make_site(slow, signed=True, bounds=Bounds(concurrency=1, waiting=1))
    body = request_body()
    signature = sign(body, SIGNING_KEY)
    async with httpx.AsyncClient(base_url=site.url, timeout=DEADLINE) as http:
        calls = [asyncio.create_task(post(http, body, signature, "bullq-default.slow"))]
        await began.acquire()
        calls.append(asyncio.create_task(post(http, body, signature, "bullq-default.slow")))
        while (await http.get("/health/live")).json()["busy"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)  # nobody tells of requests that wait
        third = await post(http, body, signature, "bullq-default.slow")
        assert (third.status_code, third.headers["retry-after"]) == (503, "5")
        assert began.locked(), "the second one waits for a slot"
        go_on.set()
        assert [(await call).status_code for call in calls] == [200, 200]


async def test_a_big_forged_body_does_not_hold_the_event_loop(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    check = signatures.check

    def slow(body: bytes, *arguments: Any, **options: Any) -> None:
        if len(body) > 100_000:
            loop.call_soon_threadsafe(began.set)
            assert go_on.wait(DEADLINE)
        check(body, *arguments, **options)

    monkeypatch.setattr(signatures, "check", slow)
    body = request_body()
    forged = asyncio.create_task(post(http, body + b" " * 100_000, sign(body, OTHER_KEY)))
    async with asyncio.timeout(DEADLINE):
        await began.wait()
        assert (await post(http, body, sign(body, SIGNING_KEY))).json() == 7
        go_on.set()
        assert (await forged).status_code == 401


async def test_a_content_length_that_is_no_number_is_refused(make_app: AppFactory) -> None:
    service = mount(fastapi.FastAPI(), in_production(make_app))
    answers: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message)

    headers = [(b"content-length", "²".encode("latin-1")), (b"x-inngest-signature", b"t=1&s=1")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    await service.app(scope, receive, send)
    await service.aclose()
    assert answers[0]["status"] == 400


def test_without_a_key_nothing_is_served() -> None:
    app = Bullq(jobs=[ship], settings=Settings())
    with pytest.raises(SettingsError, match="anybody could run jobs here"):
        mount(fastapi.FastAPI(), app)


def test_a_signing_key_is_used_without_its_prefix() -> None:
    assert bare_key(SIGNING_KEY) == "0123456789abcdef"


async def test_the_endpoint_lives_in_a_fastapi_application(make_app: AppFactory) -> None:
    web = fastapi.FastAPI()

    @web.get("/")
    def home() -> dict[str, Any]:
        return {"shop": True}

    service = mount(web, in_production(make_app))
    body = request_body()
    async with service.running(), asking(web) as http:
        assert (await http.get("/")).json() == {"shop": True}
        assert (await http.get("/bullq/live")).json()["live"]
        assert (await post(http, body, sign(body, SIGNING_KEY))).json() == 7
        assert (await post(http, body, None)).status_code == 401

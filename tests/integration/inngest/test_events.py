"""Sending events: one deadline, three outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from bullq.engines.inngest.events import EventSender, send_event
from bullq.engines.inngest.messages import JobMessage, Outcome, Sending
from bullq.engines.inngest.server import InngestServer
from bullq.errors import PayloadError, SettingsError
from tests.support.deadline import DEADLINE
from tests.support.inngest_double import InngestDouble

EVENT = JobMessage(queue="default", name="mail", job_id="01J", data={"to": "a@b.c"})


@pytest.fixture
async def double() -> AsyncIterator[InngestDouble]:
    async with InngestDouble(event_key="right").running() as running:
        yield running


def server_at(url: str, event_key: str | None = "right") -> InngestServer:
    return InngestServer(
        app="shop", api_url=url, event_url=url, production=True, event_key=event_key
    )


async def test_an_event_is_accepted_and_says_all_that_the_function_needs(
    double: InngestDouble,
) -> None:
    taken: list[dict[str, object]] = []
    double.runs.event = taken.append  # type: ignore[method-assign]
    before = time.time()

    sent = await send_event(
        server_at(double.url), replace(EVENT, delay=60, priority=7, failures=2, told={"x": 1})
    )

    assert sent == Sending(Outcome.ACCEPTED)
    [event] = taken
    assert (event["id"], event["name"]) == ("01J", "bullq/default.mail")
    assert event["data"] == {
        "to": "a@b.c",
        "_bullq": {"id": "01J", "head_start": -7, "failures": 2, "x": 1},
    }
    assert isinstance(event["ts"], int)
    assert before + 59.999 <= event["ts"] / 1000 <= time.time() + 60.001


async def test_connections_are_kept_for_the_next_event(double: InngestDouble) -> None:
    sender = EventSender(server_at(double.url))
    try:
        for _ in range(3):
            assert (await sender.send([EVENT], deadline=DEADLINE)).outcome is Outcome.ACCEPTED
    finally:
        await sender.aclose()


async def test_a_wrong_key_is_a_definite_no(double: InngestDouble) -> None:
    sent = await send_event(server_at(double.url, "wrong"), EVENT)
    assert sent.outcome is Outcome.REFUSED
    assert "401" in sent.reason
    assert "Event key not found" in sent.reason


async def test_nobody_at_the_address_is_a_definite_no_at_once() -> None:
    async with asyncio.timeout(DEADLINE):
        nobody = server_at(f"http://127.0.0.1:{closed_port()}")
        sent = await send_event(nobody, EVENT, deadline=3_600)
    assert sent.outcome is Outcome.REFUSED
    assert "no Inngest server at" in sent.reason


async def test_an_answer_that_does_not_come_in_time_leaves_a_doubt(double: InngestDouble) -> None:
    double.delay = 5
    began = time.monotonic()
    sent = await send_event(server_at(double.url), EVENT, deadline=0.2)
    assert sent.outcome is Outcome.UNKNOWN
    assert 0.2 <= time.monotonic() - began < double.delay


async def test_a_connection_that_breaks_after_the_request_leaves_a_doubt() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with listening(hang_up) as url:
        sent = await send_event(server_at(url), EVENT)
    assert sent.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("502 Bad Gateway", Outcome.UNKNOWN),
        ("413 Too Large", Outcome.REFUSED),
        ("200 OK", Outcome.UNKNOWN),
    ],
)
async def test_an_answer_is_taken_for_what_it_proves(status: str, outcome: Outcome) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno".encode())
        await writer.drain()
        writer.close()

    async with listening(answer) as url:
        sent = await send_event(server_at(url), EVENT)
    assert sent.outcome is outcome
    assert status[:3] in sent.reason


async def test_what_is_too_large_is_refused_before_it_is_sent() -> None:
    large = replace(EVENT, data={"text": "x" * 3 * 1024 * 1024})
    with pytest.raises(PayloadError, match="Inngest takes 3,145,728"):
        await send_event(server_at("http://127.0.0.1:1"), large)


async def test_without_an_event_key_nothing_is_sent() -> None:
    with pytest.raises(SettingsError, match="INNGEST_EVENT_KEY is not set"):
        await send_event(server_at("http://127.0.0.1:1", None), EVENT)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bullq import PayloadError
from bullq.dispatch.breaker import Breaker
from bullq.dispatch.bucket import TokenBucket
from bullq.dispatch.fallback import InngestFallback
from bullq.engines.inngest.messages import JobMessage, Outcome, Sending


class Sender:
    """Sends what is not too large; hears of each request."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []

    async def send(self, events: Sequence[JobMessage], *, deadline: float) -> Sending:
        if any(len(event.data["text"]) > 10 for event in events):
            raise PayloadError("payload: the event is too large")
        self.requests.append([event.job_id for event in events])
        return Sending(Outcome.ACCEPTED)


def _message(job_id: str, text: str = "") -> JobMessage:
    return JobMessage(queue="mail", name="greet", job_id=job_id, data={"text": text})


async def test_nobody_fails_for_an_event_that_is_too_large() -> None:
    sender = Sender()
    nowhere: Any = None
    sends: Any = sender
    fallback = InngestFallback(nowhere, sends, list, Breaker(), TokenBucket(100))
    messages = [_message("a"), _message("b", "x" * 20), _message("c")]
    told = await asyncio.gather(*(fallback.send(one, 30) for one in messages))
    assert [one.outcome for one in told] == [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.ACCEPTED]
    assert told[1].reason == "payload: the event is too large"
    assert sender.requests == [["a"], ["c"]]

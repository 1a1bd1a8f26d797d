"""The function by which Inngest runs canaries: it does nothing but say that it came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bullq.engines.inngest import sdk

if TYPE_CHECKING:
    from bullq.clock import Duration
    from bullq.engines.inngest.events import EventSender
    from bullq.engines.inngest.messages import Sending

CANARY_FUNCTION = "bullq.canary"
_EVENT = "bullq/canary"

Answer = Callable[[str, str], Awaitable[None]]
"""Hears of which queue a canary came, and which one."""


def canary_function(client: sdk.Inngest, answer: Answer) -> sdk.Function[Any]:
    """Make the function, which no queue's concurrency holds up: it asks whether jobs run at all."""

    async def perform(ctx: sdk.Context) -> None:
        await answer(str(ctx.event.data.get("queue")), str(ctx.event.data.get("id")))

    create = client.create_function(
        fn_id=CANARY_FUNCTION, trigger=sdk.TriggerEvent(event=_EVENT), retries=0
    )
    return create(perform)


async def send_canary(
    sender: EventSender, queue: str, canary_id: str, *, deadline: Duration
) -> Sending:
    """Send a canary of a queue."""
    event = {"id": canary_id, "name": _EVENT, "data": {"queue": queue, "id": canary_id}}
    return await sender.send_plain([event], deadline=deadline)

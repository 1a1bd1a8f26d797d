"""Send the event of a job that was routed before: by a sweeper, or by a dispatch that died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bullq.engines.inngest.messages import Outcome
from bullq.engines.inngest.parcels import message_of

if TYPE_CHECKING:
    from bullq.dispatch.fallback import InngestFallback
    from bullq.store.arbiter import Parcel

_DEADLINE = 5.0  # seconds for one event, the question included whether it would be run


async def deliver(fallback: InngestFallback, queue: str, parcel: Parcel, now_ms: int) -> str:
    """Give 'accepted', 'refused' or 'unknown'; *now_ms* is by the server's clock."""
    if not await fallback.is_ready(f"{queue}.{parcel.name}", _DEADLINE):
        return Outcome.REFUSED.value
    sending = await fallback.send(message_of(queue, parcel, now_ms), _DEADLINE)
    return sending.outcome.value

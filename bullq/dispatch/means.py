"""What the dispatches of a process work with: two engines, each with its breaker, and an outbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bullq.dispatch.breaker import Breaker
    from bullq.dispatch.fallback import InngestFallback
    from bullq.dispatch.outbox import Outbox
    from bullq.dispatch.terms import UseBullmq
    from bullq.telemetry.hooks import Observer


@dataclass(slots=True, kw_only=True)
class Means:
    """BullMQ is used as *use_bullmq* says, and spared while *breaker* is open.

    *fallback* and *outbox* are None where there is no such thing. *observer* hears how dispatches
    end.
    """

    use_bullmq: UseBullmq
    breaker: Breaker
    fallback: InngestFallback | None
    outbox: Outbox | None
    observer: Observer

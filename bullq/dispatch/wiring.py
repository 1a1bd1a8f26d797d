"""Wire what hands jobs to engines: breakers, the way to Inngest, the outbox, as settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from bullq.dispatch.breaker import Breaker
from bullq.dispatch.bucket import TokenBucket
from bullq.dispatch.fallback import InngestFallback
from bullq.dispatch.handoffs import Handoffs
from bullq.dispatch.means import Means
from bullq.dispatch.outbox import Outbox, check_outbox
from bullq.engines.inngest.server import InngestServer
from bullq.telemetry.hooks import Observer, Observers

if TYPE_CHECKING:
    from bullq.dispatch.terms import UseBullmq
    from bullq.engines.inngest.events import EventSender
    from bullq.queues.queue import JobQueue
    from bullq.settings import Settings
    from bullq.store.connection import Store


def handoffs_of(
    settings: Settings,
    *,
    store: Callable[[], Store],
    live_queue: Callable[[str], JobQueue],
    sender: EventSender | None,
    functions: Callable[[], Iterable[str]],
    use_bullmq: UseBullmq,
    observer: Observer,
) -> Handoffs:
    """Make what hands jobs over. *sender* is None without an Inngest server that takes events.

    *functions* names what is to be known there. Raises SettingsError for an impossible outbox.
    """
    told = Observers([observer])
    fallback = None
    if sender is not None:
        fallback = InngestFallback(
            InngestServer.from_settings(settings),
            sender,
            functions,
            Breaker(partial(told.breaker_changed, "inngest")),
            TokenBucket(settings.fallback_rate),
        )
    outbox = None
    if settings.outbox is not None:
        check_outbox(settings.outbox)
        outbox = Outbox(settings.outbox)
    means = Means(
        use_bullmq=use_bullmq,
        breaker=Breaker(partial(told.breaker_changed, "bullmq")),
        fallback=fallback,
        outbox=outbox,
        observer=told,
    )
    return Handoffs(
        means,
        store=store,
        prefix=settings.prefix,
        seconds=settings.redis_timeout / 1000,
        live_queue=live_queue,
    )

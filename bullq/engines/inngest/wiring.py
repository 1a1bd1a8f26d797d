"""Wire an application's jobs, its store and an Inngest server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bullq.engines.inngest.children import Children
from bullq.engines.inngest.events import EventSender
from bullq.engines.inngest.functions import InngestFunctions
from bullq.engines.inngest.server import InngestServer
from bullq.engines.inngest.stored import Reach, StoredShared

if TYPE_CHECKING:
    from bullq.engines.inngest.canary import Answer
    from bullq.engines.inngest.shared import Shared
    from bullq.jobs.job import Job
    from bullq.jobs.registry import JobRegistry
    from bullq.queues.queue import JobQueue
    from bullq.queues.spec import QueueSpec
    from bullq.settings import Settings
    from bullq.telemetry.hooks import Observer


def functions_of(
    settings: Settings,
    jobs: JobRegistry,
    spec_of: Callable[[str], QueueSpec],
    queue_of: Callable[[str], JobQueue],
    *,
    observer: Observer | None = None,
    threads: int = 20,
    canary: Answer | None = None,
) -> InngestFunctions:
    """Give the functions of the server that *settings* name; *queue_of* gives a live queue."""
    server = InngestServer.from_settings(settings)

    reach = Reach()

    def shared_of(job: Job[Any, Any], job_id: str) -> Shared:
        return StoredShared(queue_of(job.queue), job_id, reach)

    return InngestFunctions(
        server,
        jobs,
        spec_of,
        shared_of=shared_of,
        children=Children(EventSender(server), jobs),
        observer=observer,
        recurring=jobs.recurring_on == "inngest",
        threads=threads,
        canary=canary,
    )

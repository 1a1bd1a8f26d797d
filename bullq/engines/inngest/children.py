"""Jobs that a job on Inngest starts: they run there, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullq.engines.inngest.messages import JobMessage, Outcome, enveloped
from bullq.errors import DispatchInDoubt, RemoteJobError, StoreUnavailable
from bullq.jobs.remote import RemoteJob

if TYPE_CHECKING:
    from bullq.engines.engine import Child
    from bullq.engines.inngest.events import EventSender
    from bullq.jobs.registry import JobRegistry

_DEADLINE = 5.0  # seconds to send a child's event; the step is made again after that


class Children:
    """Starts jobs by events of their own, and says what a function that is invoked needs."""

    def __init__(self, sender: EventSender, jobs: JobRegistry) -> None:
        self._sender = sender
        self._jobs = jobs

    async def dispatch(self, child: Child) -> None:
        """Send a child's event; again under its id changes nothing."""
        self.check(child)
        message = JobMessage(
            queue=child.job.queue,
            name=child.job.name,
            job_id=child.id,
            data=child.job.payload.encode(child.payload),
        )
        sent = await self._sender.send([message], deadline=_DEADLINE)
        if sent.outcome is Outcome.ACCEPTED:
            return
        place = f"{child.job.queue}/{child.job.name}"
        if sent.outcome is Outcome.REFUSED:
            raise StoreUnavailable(f"the job {place} was not queued: {sent.reason}")
        raise DispatchInDoubt(f"the job {place} may be queued: {sent.reason}", child.id)

    def check(self, child: Child) -> None:
        """Raise UnknownJobError or RemoteJobError for a job that has no function at Inngest."""
        job = self._jobs.find(child.job.queue, child.job.name)
        if isinstance(job, RemoteJob):
            raise RemoteJobError(
                f"The job {job.queue}/{job.name} is another service's, which BullMQ reaches and "
                "Inngest does not: a job that runs on Inngest cannot start it"
            )

    def data_of(self, child: Child) -> dict[str, Any]:
        """Give the data of the event by which Inngest invokes a child."""
        return enveloped(child.job.payload.encode(child.payload), {"id": child.id})

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._sender.aclose()

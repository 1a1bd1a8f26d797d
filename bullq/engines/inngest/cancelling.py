"""Have an Inngest server end the run of a job: by an event that all our functions listen to.

The server ends a run that has not begun, sleeps or waits at once, and one whose step is being made
after that step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bullq.engines.inngest import sdk
from bullq.engines.inngest.messages import ENVELOPE

if TYPE_CHECKING:
    from bullq.clock import Duration
    from bullq.engines.inngest.events import EventSender
    from bullq.engines.inngest.messages import Sending

_EVENT = "bullq/cancel"


def on_cancel() -> list[sdk.Cancel]:
    """Give what ends a function's run: an event that names its job."""
    return [sdk.Cancel(event=_EVENT, if_exp=f"async.data.job == event.data.{ENVELOPE}.id")]


async def cancel_run(sender: EventSender, job_id: str, *, deadline: Duration) -> Sending:
    """Ask for the end of a job's run. A job that is not there is nobody's: the event is taken."""
    event = {"name": _EVENT, "data": {"job": job_id}}
    return await sender.send_plain([event], deadline=deadline)

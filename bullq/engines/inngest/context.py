"""The context of a job that Inngest runs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from bullq.engines.context import StepContext
from bullq.engines.inngest.shared import Writer
from bullq.jobs.failure import sendable

if TYPE_CHECKING:
    from bullq.engines.calls import InThread
    from bullq.engines.inngest.run import Run
    from bullq.engines.inngest.shared import Shared
    from bullq.engines.inngest.steps import InngestSteps
    from bullq.jobs.job import Job


class InngestContext(StepContext):
    """One request of one job. What is logged goes to our own store while it can be reached."""

    engine = "inngest"

    def __init__(
        self,
        job: Job[Any, Any],
        run: Run,
        steps: InngestSteps,
        shared: Shared,
        in_thread: InThread,
    ) -> None:
        self.queue = job.queue
        self.name = job.name
        self.job_id = run.job_id
        self.job_attempt = run.job_attempt
        self.max_attempts = run.attempts
        self.fence = run.fence
        self.step_timeout_ms = run.timeout_ms
        self.in_thread = in_thread
        self.loop = asyncio.get_running_loop()
        self.writer = Writer(self.loop)
        self._steps = steps
        self._shared = shared
        self._cancelled = False

    @property
    def steps(self) -> InngestSteps:
        """The steps of this request."""
        return self._steps

    @property
    def cancelled(self) -> bool:
        """Whether the job should stop: its time is up, or the server that asked has gone."""
        return self._cancelled

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._cancelled = True

    def log(self, message: str) -> None:
        """Add a row to the job's log.

        An attempt that follows another one, and a request for what branches do next, repeat the
        body as far as no step on record tells: what it logs there is told by its place.
        """
        line = self.here()
        place = None if self._steps.calling else line.next_place()
        if not self._steps.repeats(line.path):
            self.put_row(sendable(str(message)), place)

    def put_row(self, row: str, place: str | None = None) -> None:
        """Add a row to the job's log, wherever the body is."""
        self.writer.put(lambda: self._shared.log(row, place))

    def progress(self, value: Any) -> None:
        """Record the job's progress."""
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        if not self._steps.repeats(""):
            self.writer.put(lambda: self._shared.progress(text))

"""What a running job sees of the engine that runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Context(ABC):
    """The port between business code and an engine: one context for one attempt of one job.

    Every method may be called from async code and from the thread of a sync job alike; none
    waits for the network. What is logged and reported is written in order, and is on record
    before the job counts as ended.
    """

    job_id: str
    """The job's id, the same in Redis, in dashboards and in the receipt of its dispatch."""
    queue: str
    """The queue the job came from."""
    name: str
    """The job's name on that queue."""
    engine: str
    """Which engine runs the job: 'bullmq'."""
    job_attempt: int
    """Which attempt this is, from 1."""
    max_attempts: int
    """How many attempts there are in all."""

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether the job should stop: its lock is lost, its time is up or its worker stops.

        Async jobs are cancelled at their next await; sync jobs have to look here.
        """

    @abstractmethod
    def log(self, message: str) -> None:
        """Add a row to the job's own log, which dashboards show."""

    @abstractmethod
    def progress(self, value: Any) -> None:
        """Tell how far the job is: a number from 0 to 100, or any JSON data.

        Raises TypeError or ValueError where JSON cannot hold *value*.
        """

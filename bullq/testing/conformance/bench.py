"""The bench of an engine: what the cases need to run jobs on it. Each engine's tests have one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol

from bullq.jobs.job import Job


class Run(Protocol):
    """One job on the engine."""

    id: str

    async def result(self) -> Any:
        """Give the job's result, letting time pass; raises JobFailed."""


class Session(ABC):
    """An application of some jobs, with whatever runs them."""

    @abstractmethod
    async def start(self, job: Job[Any, Any], payload: Any) -> Run:
        """Queue a job; it begins soon, or has begun."""

    @abstractmethod
    async def until_paused(self, run: Run) -> None:
        """Wait until the job's body was left, and the job waits for time, a child or an event."""

    @abstractmethod
    async def pass_time(self, duration: timedelta) -> None:
        """Let time pass by the engine's clock."""

    @abstractmethod
    async def kill(self, job_id: str) -> None:
        """End the worker of the job, from inside it, as a crash does, and start another one.

        Does not return to the job that calls it. What needs it: 'kill'.
        """

    @abstractmethod
    async def remove(self, run: Run) -> None:
        """Take a paused job away, as people do by a dashboard. What needs it: 'remove'."""

    @abstractmethod
    async def logs(self, run: Run) -> list[str]:
        """Give what the job has logged."""

    @abstractmethod
    async def progress(self, run: Run) -> Any:
        """Give what the job has last told of its progress."""


class Bench(ABC):
    """One engine under test."""

    engine: str
    pause: timedelta
    """A pause long enough to leave the body."""
    tick: timedelta
    """How exactly the engine keeps its times."""
    lacks: frozenset[str] = frozenset()
    """What the engine cannot be asked for: cases that need it are left out; the table says so."""

    @abstractmethod
    def session(self, *jobs: Job[Any, Any]) -> AbstractAsyncContextManager[Session]:
        """Run an application of these jobs; dispatches of the process go to it meanwhile."""

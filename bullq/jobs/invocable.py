"""What a job has to be for another one to start it."""

from __future__ import annotations

from typing import Protocol, TypeVar

from bullq.jobs.payload import Payload, Result

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")


class Invocable(Protocol[DataT, ResultT]):
    """A job as others see it: its place and its types. Every Job is one."""

    @property
    def queue(self) -> str:
        """The queue it runs on."""

    @property
    def name(self) -> str:
        """Its name there."""

    @property
    def payload(self) -> Payload[DataT]:
        """What it takes."""

    @property
    def result(self) -> Result[ResultT]:
        """What it gives."""

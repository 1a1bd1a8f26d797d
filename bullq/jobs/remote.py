"""A job that a service in another language runs: known here by its place and its types."""

from __future__ import annotations

import sys
from types import UnionType
from typing import Any, TypeVar, overload

from bullq.errors import RemoteJobError
from bullq.jobs.definition import JobPolicy
from bullq.jobs.job import Job
from bullq.jobs.payload import result_problem, type_problem
from bullq.jobs.retry import Backoff

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")


class RemoteJob(Job[DataT, ResultT]):
    """A job without a body here; it is dispatched like any other, and no bullq worker runs it.

    *data* and *result* are types. A union, which no type checker can infer from, is named twice:
    `find: RemoteJob[Query, Found | None] = RemoteJob(..., result=Found | None)`.
    """

    @overload
    def __init__(
        self: RemoteJob[DataT, None],
        *,
        queue: str,
        name: str,
        data: type[DataT] | UnionType,
        attempts: int | None = None,
        backoff: Backoff | None = None,
        priority: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        queue: str,
        name: str,
        data: type[DataT] | UnionType,
        result: type[ResultT] | UnionType,
        attempts: int | None = None,
        backoff: Backoff | None = None,
        priority: int | None = None,
    ) -> None: ...
    def __init__(
        self,
        *,
        queue: str,
        name: str,
        data: Any,
        result: Any = None,
        attempts: int | None = None,
        backoff: Backoff | None = None,
        priority: int | None = None,
    ) -> None:
        self._given_types = (data, result)

        async def run(_: Any) -> Any:
            raise RemoteJobError(
                f"{queue}/{name} is run by another service: dispatch it and wait for its result"
            )

        # Its module is where it is made, as for a function: discovery goes by that.
        run.__module__ = sys._getframe(1).f_globals.get("__name__", "__main__")  # noqa: SLF001
        policy = JobPolicy(attempts=attempts, backoff=backoff, priority=priority)
        super().__init__(run, queue=queue, name=name, policy=policy)
        self.__doc__ = None

    @property
    def location(self) -> str:
        """Name the job, and where it is made, for messages."""
        return f"{self.function.__module__}: the remote job {self.queue}/{self.name}"

    def _read_signature(self) -> None:
        data, result = self._given_types
        if problem := result_problem(result):
            self._problem(f"its result: {problem}")
        if problem := type_problem(data):
            self._problem(problem)
        self._payload_annotation = data
        self._result_annotation = result

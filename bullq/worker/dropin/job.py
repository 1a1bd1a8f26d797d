"""The official client's Job, made of a claimed record when more than its payload is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullmq import Job as OfficialJob
from bullmq import UnrecoverableError

from bullq.protocol.record import read_json

if TYPE_CHECKING:
    from bullq.protocol.record import JobRecord
    from bullq.worker.dropin.host import Host


class ClaimedJob(OfficialJob):  # type: ignore[misc]  # bullmq ships no types
    """The official client's Job, read from its record when more than its payload is wanted.

    Most processors read the payload and nothing else, and making a whole Job of each record
    costs more than to claim and to settle it.
    """

    def __init__(self, worker: Host, record: JobRecord, token: str) -> None:
        self.id = record.id
        self.name = record.name
        self.token = token
        self.queue = worker
        self.backend = worker.backend
        self.queueQualifiedName = worker.qualifiedName
        self._record = record

    def __getattr__(self, name: str) -> Any:
        """Read what is not there yet (called by Python for nothing else)."""
        own: dict[str, Any] = self.__dict__
        record: JobRecord | None = own.get("_record")
        if record is not None:
            if name == "data":
                own["data"] = _parsed(record)
            else:
                del self._record
                whole = OfficialJob.fromJSON(self.queue, record.fields, record.id)
                own.update({**vars(whole), **own})
        if name not in own:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return own[name]

    async def moveToDelayed(self, timestamp: int, token: str) -> None:  # noqa: N802 - official
        """Have the job run again at *timestamp* (ms); raise DelayedError afterwards."""
        await super().moveToDelayed(timestamp, token)
        self.queue.let_go(self.token)

    async def moveToWaitingChildren(  # noqa: N802 - official
        self, token: str, opts: dict[str, Any]
    ) -> bool | None:
        """Have the job run again after its children, if any are left; tell whether it has to wait.

        If so, raise WaitingChildrenError afterwards.
        """
        waits: bool | None = await super().moveToWaitingChildren(token, opts)
        if waits:
            self.queue.let_go(self.token)
        return waits

    async def updateProgress(self, progress: Any) -> None:  # noqa: N802 - the official name
        """Record how far the job is, and tell those who listen to the worker's `progress`."""
        await super().updateProgress(progress)
        self.queue.emit("progress", self, progress)


def _parsed(record: JobRecord) -> Any:
    try:
        return read_json(record.data)
    except ValueError as error:
        raise UnrecoverableError(f"the job's field 'data' is no JSON: {error}") from error

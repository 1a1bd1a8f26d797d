"""Count what happens on the queues, from the events that BullMQ itself writes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bullq import Bullq
from bullq.protocol.events import read_ended
from bullq.queues.queue import JobQueue

RECURRING = "repeat:"
"""What the ids of jobs begin with that a schedule has made."""

_PAGE = 1_000


@dataclass
class QueueTally:
    """What one queue's events have told so far, by job id."""

    name: str
    began: Counter[str] = field(default_factory=Counter)
    ended: dict[str, bool] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many jobs have failed for good."""
        return sum(not completed for completed in self.ended.values())

    @property
    def retried(self) -> int:
        """How many jobs have begun more than once."""
        return sum(times > 1 for times in self.began.values())

    @property
    def recurring(self) -> int:
        """How many runs of recurring jobs have completed."""
        return sum(one.startswith(RECURRING) and done for one, done in self.ended.items())

    def note(self, entry: dict[str, str]) -> None:
        """Count one event."""
        if entry.get("event") == "active":
            self.began[entry["jobId"]] += 1
        elif ended := read_ended(entry):
            self.ended[ended.job_id] = ended.completed


class Tally:
    """Follows the event streams of several queues from their beginning."""

    def __init__(self, app: Bullq, queues: list[str]) -> None:
        self.queues = {name: QueueTally(name) for name in queues}
        live: list[JobQueue] = [app.queue(name) for name in queues]
        self._store = app.store
        self._names = {queue.keys.key("events"): queue.spec.name for queue in live}
        self._read_to = dict.fromkeys(self._names, "0")

    async def follow(self, seconds: float) -> None:
        """Wait for events, at most *seconds*, and count those that came."""
        with self._store.errors():
            streams = await self._store.client().xread(
                self._read_to, count=_PAGE, block=max(1, round(seconds * 1000))
            )
        for stream, entries in streams or []:
            for entry_id, entry in entries:
                self._read_to[stream] = entry_id
                self.queues[self._names[stream]].note(entry)

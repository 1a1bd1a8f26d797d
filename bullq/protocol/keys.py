"""Every Redis key of a BullMQ queue, and the client names by which Node finds workers."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property


def due_ms_of(delayed_score: float) -> int:
    """Give when a delayed job is due, in ms since the epoch, from its score in `delayed`.

    The score is that time * 4096, plus the job's place among those due in the same ms.
    """
    return int(delayed_score) // 4096


@dataclass(frozen=True)
class QueueKeys:
    """The keys of *queue* under *prefix*, as BullMQ names them (its queue-keys module)."""

    prefix: str
    queue: str

    @cached_property
    def base(self) -> str:
        """What every key of the queue begins with, the final ':' included."""
        return f"{self.prefix}:{self.queue}:"

    def key(self, name: str) -> str:
        """Give the queue-level key called *name*, such as 'wait' or 'events'."""
        return self.base + name

    def job(self, job_id: str) -> str:
        """Give the key of a job's hash."""
        return self.base + job_id

    def logs(self, job_id: str) -> str:
        """Give the key of a job's log rows."""
        return f"{self.base}{job_id}:logs"

    def client_name(self, suffix: str = "") -> str:
        """Give the connection name that marks a member of this queue in CLIENT LIST.

        Node matches `<prefix>:<base64 of the queue>` plus a suffix: ':w:<worker>' for a worker's
        blocking connection, ':qe' for a reader of queue events. Base64 because CLIENT SETNAME
        refuses spaces.
        """
        return f"{self.prefix}:{b64encode(self.queue.encode()).decode()}{suffix}"

    def worker_client_name(self, worker: str) -> str:
        """Give the name of a worker's blocking connection, by which dashboards list it."""
        return self.client_name(f":w:{worker}")

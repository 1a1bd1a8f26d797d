"""What a run of `bullq bench` measures: the job, the settings that are tried, the time for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum

LADDER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""The concurrencies that are tried where none are named."""
BUCKETS_PER_SECOND = 200
"""How finely worker processes tell the times of completions."""
_MOST_PROCESSES = 4  # that are tried unasked


class Kind(StrEnum):
    """What the measured jobs do."""

    NOOP = "noop"
    IO = "io"
    CPU = "cpu"
    JOB = "job"


@dataclass(frozen=True, kw_only=True)
class Load:
    """The job that is measured, as every process of the run is told it.

    *reference* names the user's own job ('queue/name'), *data* is its payload as JSON text.
    *turns* of a loop are what a CPU job does; *pause* is how long an I/O job waits, in seconds.
    """

    kind: Kind
    queue: str
    data: str = "{}"
    reference: str | None = None
    turns: int = 0
    pause: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one kind of job is measured; *seconds* is for all of it."""

    concurrencies: tuple[int, ...] = LADDER
    processes: tuple[int, ...] = (1,)
    rounds: int = 3
    seconds: float = 90.0

    @property
    def window(self) -> float:
        """How long one run may take jobs from the queue, in seconds.

        A third of a run's share: filling the queue and the pickup times need the rest.
        """
        share = self.seconds / (len(self.concurrencies) * len(self.processes) * self.rounds)
        return min(2.0, max(0.05, share * 0.35))


def usual_processes() -> tuple[int, ...]:
    """Give the numbers of processes to try on this machine: 1, 2, 4, up to its cores."""
    cores = os.cpu_count() or 1
    return tuple(count for count in (1, 2, 4) if count <= min(cores, _MOST_PROCESSES))

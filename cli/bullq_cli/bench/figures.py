"""What was measured: the figures of one run, and of all runs with the same settings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_SETTLING = 0.1  # which part of a run is left out at either end


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run. *rate* is in jobs/s, *pickups* in ms, memory in bytes per worker process."""

    rate: float
    redis_us: float
    memory: int
    pickups: tuple[float, ...] = ()
    failed: int = 0
    reason: str = ""


@dataclass
class Point:
    """All runs with one concurrency and one number of processes."""

    processes: int
    concurrency: int
    runs: list[Run] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median rate, in jobs/s."""
        return statistics.median(run.rate for run in self.runs)

    @property
    def slowest(self) -> float:
        """The lowest rate of a run."""
        return min(run.rate for run in self.runs)

    @property
    def fastest(self) -> float:
        """The highest rate of a run."""
        return max(run.rate for run in self.runs)

    @property
    def redis_us(self) -> float:
        """What a job costs Redis in scripts, in µs."""
        return statistics.median(run.redis_us for run in self.runs)

    @property
    def memory(self) -> int:
        """The most that one worker process held, in bytes."""
        return max(run.memory for run in self.runs)

    def pickup(self, percent: int) -> float | None:
        """Give a percentile of the pickup times of all runs, in ms; None without any."""
        pooled = sorted(pickup for run in self.runs for pickup in run.pickups)
        if not pooled:
            return None
        return pooled[min(len(pooled) - 1, len(pooled) * percent // 100)]


def steady_rate(completed: Mapping[int, int], per_second: int) -> float:
    """Give the rate, in jobs/s, of a run without its beginning and its end.

    *completed* counts jobs by slices of time, *per_second* of them to a second.
    """
    slices = sorted(completed)
    total = sum(completed.values())
    passed = 0
    marks: list[tuple[int, int]] = []  # at the end of a slice: its number, jobs so far
    for number in slices:
        passed += completed[number]
        marks.append((number + 1, passed))
    inside = [mark for mark in marks if _SETTLING * total <= mark[1] <= (1 - _SETTLING) * total]
    if len(inside) < 3:  # noqa: PLR2004 - too few to see a rate between them
        inside = [(slices[0], 0), marks[-1]]
    (began, first), (ended, last) = inside[0], inside[-1]
    return (last - first) * per_second / max(1, ended - began)


def curve(points: Sequence[Point], processes: int) -> list[Point]:
    """Give the points with that many processes, by concurrency."""
    chosen = [point for point in points if point.processes == processes and point.runs]
    return sorted(chosen, key=lambda point: point.concurrency)

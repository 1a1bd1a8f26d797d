"""What is measured: the same few pieces of work for every system."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One piece of work: a row of figures for every system.

    *part* is what the measured process plays (peers/stage.py), *order* what it is told. Rates are
    in jobs/s; late ones are latencies in ms, and lower is better there. *most* bounds the jobs of
    a run, and *first* is how many the run has that finds out how many are needed.
    """

    name: str
    title: str
    part: str
    order: dict[str, Any] = field(default_factory=dict)
    most: int = 60_000
    first: int = 400

    @property
    def needs_backlog(self) -> bool:
        """Whether the jobs wait in the queue before the measured process starts."""
        return self.part == "work"


WORKLOADS = (
    Workload(name="noop-1", title="no-op at 1", part="work", order={"concurrency": 1}),
    Workload(name="noop-10", title="no-op at 10", part="work", order={"concurrency": 10}),
    Workload(name="noop-100", title="no-op at 100", part="work", order={"concurrency": 100}),
    Workload(
        name="io-100",
        title="10 ms I/O at 100",
        part="work",
        order={"concurrency": 100, "pause": 0.01},
        first=800,
    ),
    Workload(name="add-1", title="add, one by one", part="each", order={"callers": 1}),
    Workload(name="add-50", title="add, 50 at once", part="each", order={"callers": 50}),
    Workload(name="add-bulk", title="add in bulk", part="bulk"),
    Workload(
        name="idle",
        title="idle add to start, p50 / p99",
        part="listen",
        order={"concurrency": 10, "gap": 0.01},
        most=100,
        first=100,
    ),
)

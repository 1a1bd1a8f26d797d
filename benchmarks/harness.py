"""Run every workload with every system in turn, several times, and keep all figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.parts import PartFailed, play, playing
from benchmarks.server import Server
from benchmarks.systems import System
from benchmarks.workloads import Workload

WARM_UP = 30
"""Jobs whose latency is not counted: connections open and code is compiled meanwhile."""
_LISTENER_RESTS = 0.3  # seconds in which a worker that had one job becomes idle again

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one run gave. None: not measured by this workload."""

    rate: float | None = None
    late_ms: tuple[float, ...] = ()
    scripts_us: float | None = None
    server_us: float | None = None
    memory_mb: float | None = None


@dataclass
class Cell:
    """All runs of one workload with one system; *lacks* says why there are none."""

    runs: list[Figures] = field(default_factory=list)
    lacks: str = ""
    jobs: int = 0

    def median(self, of: str) -> float | None:
        """Give the median of one figure over the runs; None where it was not measured."""
        values = self.values(of)
        return statistics.median(values) if values else None

    def values(self, of: str) -> list[float]:
        """Give one figure of every run that has it."""
        return [value for run in self.runs if (value := getattr(run, of)) is not None]

    def late(self, percent: int) -> float | None:
        """Give a percentile of the latency over all runs together, in ms."""
        pooled = sorted(late for run in self.runs for late in run.late_ms)
        if not pooled:
            return None
        return pooled[min(len(pooled) - 1, len(pooled) * percent // 100)]


Results = dict[tuple[str, str], Cell]
"""By the names of workload and system."""


class Harness:
    """Plays workloads on one server. Between two runs of a system all others have theirs."""

    def __init__(self, server: Server, *, runs: int, seconds: float, say: Say) -> None:
        self._server = server
        self._runs = runs
        self._seconds = seconds
        self._say = say

    def measure(self, systems: Sequence[System], workloads: Sequence[Workload]) -> Results:
        """Measure all of it; what a system lacks or fails at is kept as such."""
        results: Results = {}
        for workload in workloads:
            cells = {system.name: self._sized(system, workload) for system in systems}
            for number in range(self._runs):
                for system in systems:
                    cell = cells[system.name]
                    if not cell.lacks and number < (system.most_runs or self._runs):
                        self._add_run(system, workload, cell)
                self._say(f"{workload.title}: run {number + 1} of {self._runs}")
            for name, cell in cells.items():
                results[workload.name, name] = cell
        return results

    def _sized(self, system: System, workload: Workload) -> Cell:
        """Warm up with runs that are not counted, and see from them how many jobs fill the time.

        Two, because the first one is short, and Node and the JITs are slow in it.
        """
        cell = Cell(jobs=workload.first)
        for share in (0.5, 1.0):
            self._add_run(system, workload, cell)
            rate = cell.median("rate")
            cell.runs.clear()
            if cell.lacks or not rate:
                break
            cell.jobs = max(100, min(workload.most, int(rate * self._seconds * share)))
        return cell

    def _add_run(self, system: System, workload: Workload, cell: Cell) -> None:
        began = time.monotonic()
        self._server.empty()
        try:
            figures = self._run(system, workload, cell.jobs)
        except PartFailed as failure:
            cell.lacks = f"failed: {failure}"
        else:
            if isinstance(figures, str):
                cell.lacks = figures
            else:
                cell.runs.append(figures)
        told = cell.lacks or f"{cell.runs[-1].rate or 0:,.0f}/s"
        took = time.monotonic() - began
        self._say(f"  {workload.name} {system.name}: {cell.jobs:,} jobs, {told} ({took:.1f} s)")

    def _run(self, system: System, workload: Workload, jobs: int) -> Figures | str:
        order: dict[str, Any] = {"url": self._server.url, "jobs": jobs, **workload.order}
        if workload.part == "listen":
            return self._listen(system, order)
        jobs += system.warm_jobs
        order |= {"jobs": jobs, "warm": system.warm_jobs}
        if workload.needs_backlog:
            play(system, "fill", {**order, "warm": 0})
        before = self._server.spent()
        told = play(system, workload.part, order) if not workload.needs_backlog else None
        if told is None:
            with playing(system, workload.part, order) as part:
                told = part.answer()
                while "ready" in told:
                    told = part.answer()
        after = self._server.spent()
        if "lacks" in told:
            return str(told["lacks"])
        scripts = (after.scripts_us - before.scripts_us) / jobs
        return Figures(
            rate=told["rate"],
            scripts_us=scripts or None,
            server_us=(after.cpu - before.cpu) * 1e6 / jobs,
            memory_mb=told.get("memory_mb"),
        )

    def _listen(self, system: System, order: dict[str, Any]) -> Figures | str:
        """Start a worker, let it rest, and send it single jobs from another process."""
        total = order["jobs"] + WARM_UP
        play(system, "fill", {**order, "jobs": 1})
        worker_order = {**order, "jobs": total + 1}
        with playing(system, "work", worker_order) as worker:
            told = worker.answer()
            if "lacks" in told:
                return str(told["lacks"])
            time.sleep(_LISTENER_RESTS)
            play(system, "drip", {**order, "jobs": total})
            late = worker.answer()["late_ms"]
        return Figures(late_ms=tuple(late[WARM_UP:]))

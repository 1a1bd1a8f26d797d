"""Write the results as a page of Markdown: one table, and what was measured on what."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.harness import Cell, Results
from benchmarks.systems import System
from benchmarks.workloads import WORKLOADS, Workload

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
README = Path(__file__).parents[1] / "README.md"
_IN_SHORT = ("noop-1", "noop-100", "io-100", "add-50", "idle")
"""The workloads that README shows."""
_BEGIN, _END = "<!-- benchmarks -->\n", "<!-- /benchmarks -->\n"
_MEMORY_AND_REDIS = "noop-100"
"""The workload whose runs give memory and Redis time per job."""


_DISPATCHES = "<!-- What follows is measured by benchmarks/dispatches.py. -->\n\n"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Under which circumstances the figures came about."""

    day: date
    server: str
    runs: int
    seconds: float
    versions: Mapping[str, str]
    load: float


def machine() -> str:
    """Describe this machine: processor, cores, memory, system, Python."""
    model = platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        lines = cpus.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


def write_page(text: str) -> None:
    """Write the page, all but the section on dispatches."""
    _, mark, rest = PAGE.read_text(encoding="utf-8").partition(_DISPATCHES)
    PAGE.write_text(f"{text}\n{mark}{rest}" if mark else text, encoding="utf-8")


def write_dispatches(section: str) -> None:
    """Write the section on dispatches into the page."""
    before = PAGE.read_text(encoding="utf-8").partition(_DISPATCHES)[0].rstrip("\n")
    PAGE.write_text(f"{before}\n\n{_DISPATCHES}{section}", encoding="utf-8")


def write_readme(text: str) -> None:
    """Put the short table into README, in the place of the one that is there."""
    whole = README.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise SystemExit(f"{README}: a line {_BEGIN.strip()} and a line {_END.strip()} are missing")
    README.write_text(f"{before}{_BEGIN}{text}{_END}{after}", encoding="utf-8")


def in_short(results: Results, systems: Sequence[System], setting: Setting) -> str:
    """Give the table that README shows."""
    shown = [one for one in WORKLOADS if one.name in _IN_SHORT]
    lines = [
        *_table(results, systems, shown, setting.versions),
        "",
        "Jobs per second of one worker process, each beside the others in the same run, on one",
        f"machine with their server: {setting.day.isoformat()}, {setting.server}, {machine()}.",
    ]
    return "\n".join(lines) + "\n"


def page(
    results: Results,
    systems: Sequence[System],
    absent: Mapping[str, str],
    setting: Setting,
) -> str:
    """Give the whole page."""
    measured = [one for one in WORKLOADS if any((one.name, s.name) in results for s in systems)]
    lines = [
        "# Benchmarks",
        "",
        "What bullq does beside Node's BullMQ and other Python queues: one worker process each,",
        "the same jobs, the same server, in the same run. `benchmarks/README.md` says how it is",
        "measured; `make bench ARGS=--peers` measures it on your machine and writes this page.",
        "",
        f"* {setting.day.isoformat()}, {setting.server}",
        f"* {machine()}",
        f"* medians of {setting.runs} runs of about {setting.seconds:g} s, taken in turns"
        f"{_fewer(systems, setting.runs)};",
        "  ± is half the distance from the slowest to the fastest run",
        f"* load of the machine when it began: {setting.load:.1f}",
        "",
        *_table(results, systems, measured, setting.versions),
        "",
        "Rates are jobs per second. Redis scripts and Redis CPU are µs per job in no-op at 100:",
        "what `INFO commandstats` counts for scripts, and what the server's main thread used in",
        "all. Memory is the worker's resident set at the end of that run. Everything but the",
        "official worker and the threaded queues runs on uvloop.",
    ]
    notes = _notes(results, systems, absent, measured)
    if notes:
        lines += ["", "## What is not in the table", "", *notes]
    return "\n".join(lines) + "\n"


def _fewer(systems: Sequence[System], runs: int) -> str:
    few = {one.most_runs for one in systems if one.most_runs and one.most_runs < runs}
    return f" (of other Python queues {min(few)})" if few else ""


def _table(
    results: Results,
    systems: Sequence[System],
    workloads: Sequence[Workload],
    versions: Mapping[str, str],
) -> list[str]:
    heads = ["", *(one.title for one in workloads)]
    has_load = any(one.name == _MEMORY_AND_REDIS for one in workloads)
    if has_load:
        heads += ["Redis scripts", "Redis CPU", "MB"]
    rows = [heads, ["---", *("---:" for _ in heads[1:])]]
    for system in systems:
        title = f"{system.title} {versions.get(system.name, '')}".strip()
        row = [title, *(_cell(results.get((one.name, system.name)), one) for one in workloads)]
        if has_load:
            row += _load(results.get((_MEMORY_AND_REDIS, system.name)))
        rows.append(row)
    return [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]


def _cell(cell: Cell | None, workload: Workload) -> str:
    if cell is None or cell.lacks or not cell.runs:
        return "-"
    if workload.part == "listen":
        p50, p99 = cell.late(50), cell.late(99)
        return "-" if p50 is None or p99 is None else f"{p50:.2f} / {p99:.2f} ms"
    rates = cell.values("rate")
    median = cell.median("rate") or 0.0
    spread = (max(rates) - min(rates)) / 2
    return f"{median:,.0f} ± {spread / median:.0%}"


def _load(cell: Cell | None) -> list[str]:
    if cell is None or cell.lacks:
        return ["-", "-", "-"]
    figures = (cell.median("scripts_us"), cell.median("server_us"), cell.median("memory_mb"))
    return ["-" if one is None else f"{one:.0f}" for one in figures]


def _notes(
    results: Results,
    systems: Sequence[System],
    absent: Mapping[str, str],
    workloads: Sequence[Workload],
) -> list[str]:
    notes = [f"* {name}: not measured, {why}" for name, why in absent.items()]
    for system in systems:
        lacks: dict[str, list[str]] = {}
        for workload in workloads:
            cell = results.get((workload.name, system.name))
            if cell is not None and cell.lacks:
                lacks.setdefault(cell.lacks, []).append(workload.title)
        notes += [f"* {system.title}, {'; '.join(what)}: {why}" for why, what in lacks.items()]
    return notes

"""Measure bullq and, with --peers, the others; print the table, and write it into the docs."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from benchmarks.harness import Harness, Results
from benchmarks.parts import PartFailed, play
from benchmarks.server import running
from benchmarks.systems import BULLQ, BULLQ_JOBS, SYSTEMS, NotInstalled, System
from benchmarks.table import PAGE, Setting, in_short, page, write_page, write_readme
from benchmarks.workloads import WORKLOADS, Workload

Named = TypeVar("Named", System, Workload)

BARS = (
    # workload, of bullq's bare processor against Node BullMQ 6
    ("noop-1", 1.2),
    ("noop-10", 1.2),
    ("noop-100", 1.7),
    ("io-100", 1.05),
    ("add-1", 1.0),
    ("add-50", 1.6),
    ("add-bulk", 2.5),
)
"""What bullq promises beside Node's current BullMQ."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, tell and write; give the exit code."""
    wanted = _parser().parse_args(arguments)
    # As Ctrl-C: what was started is ended, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    systems = _chosen(SYSTEMS if wanted.peers else (BULLQ, BULLQ_JOBS), wanted.only)
    workloads = _chosen(WORKLOADS, wanted.workloads)
    load = os.getloadavg()[0]
    _say(f"load of this machine now: {load:.1f}")
    with running(wanted.server) as server:
        systems, versions, absent = _ready(systems, server.url)
        absent |= {
            one.title: "left out of this run"
            for one in _chosen(SYSTEMS, None)
            if wanted.peers and wanted.only and one.name not in wanted.only
        }
        harness = Harness(server, runs=wanted.runs, seconds=wanted.seconds, say=_say)
        results = harness.measure(systems, workloads)
        setting = Setting(
            day=datetime.now(UTC).date(),
            server=server.version,
            runs=wanted.runs,
            seconds=wanted.seconds,
            versions=versions,
            load=load,
        )
    text = page(results, systems, absent, setting)
    sys.stdout.write(f"{text}\n{_bars(results)}")
    if wanted.raw is not None:
        _write_raw(wanted.raw, results)
    if wanted.write or (wanted.peers and not (wanted.only or wanted.workloads)):
        write_page(text)
        write_readme(in_short(results, systems, setting))
        _say(f"written: {PAGE}, and the table in README")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="measure other queues, too")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="these systems alone")
    parser.add_argument("--workloads", nargs="+", metavar="NAME", help="these workloads alone")
    parser.add_argument("--runs", type=int, default=5, help="runs of each that count (5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="about how long one lasts (1.5)")
    parser.add_argument("--server", metavar="PROGRAM", help="the redis-server or valkey-server")
    parser.add_argument("--write", action="store_true", help="write docs even if not complete")
    parser.add_argument("--raw", type=Path, metavar="FILE", help="write every run's figures here")
    return parser


def _chosen(known: Sequence[Named], names: list[str] | None) -> list[Named]:
    every = [one.name for one in (*SYSTEMS, *WORKLOADS)]
    for name in names or ():
        if name not in every:
            raise SystemExit(f"{name!r} is not known here; known: {', '.join(every)}")
    return [one for one in known if names is None or one.name in names]


def _ready(
    systems: Sequence[System], url: str
) -> tuple[list[System], dict[str, str], dict[str, str]]:
    """Install what is missing; give the systems that run, their versions, and why others do not."""
    ready: list[System] = []
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    for system in systems:
        try:
            system.prepare()
            told = play(system, "versions", {"url": url, "jobs": 1})["versions"]
        except (NotInstalled, PartFailed) as failure:
            absent[system.title] = str(failure)
            continue
        ready.append(system)
        versions[system.name] = next(iter(told.values()))
        _say(f"{system.name}: {', '.join(f'{name} {one}' for name, one in told.items())}")
    return ready, versions, absent


def _bars(results: Results) -> str:
    """Tell each promise, where what it needs was measured."""
    lines = []
    for name, least in BARS:
        cells = [results.get((name, system)) for system in ("bullq", "node-6", "bullq-jobs")]
        rates = [cell.median("rate") if cell else None for cell in cells]
        bare, node, jobs = rates
        if bare is None or node is None:
            continue
        verdict = "kept" if bare / node >= least else "MISSED"
        also = "" if jobs is None else f", @job {jobs / bare:.0%} of it"
        lines.append(f"{name}: {bare / node:.2f} x Node (promised {least:g}): {verdict}{also}\n")
    return "".join(lines)


def _write_raw(file: Path, results: Results) -> None:
    rows = [
        {"workload": workload, "system": system, **asdict(cell)}
        for (workload, system), cell in results.items()
    ]
    file.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from benchmarks import __main__ as suite
from benchmarks import table
from benchmarks.harness import WARM_UP, Cell, Figures, Harness, Results
from benchmarks.parts import PartFailed, play
from benchmarks.server import Server, running
from benchmarks.systems import PEERS, SYSTEMS, NotInstalled, System
from benchmarks.table import Setting, page
from benchmarks.workloads import WORKLOADS, Workload
from tests.support.no_silent_skips import NODE, need

NODE_6, NODE_5 = PEERS[:2]
# Without an environment of their own, whose installation would take the tests too long.
BULLQ, BULLQ_JOBS, OFFICIAL = (
    replace(one, requirements=())
    for one in SYSTEMS
    if one.name in {"bullq", "bullq-jobs", "official"}
)
BROKEN = System(name="broken", title="broken", module="with_nothing")
SMALL = Workload(
    name="noop-10", title="no-op at 10", part="work", order={"concurrency": 10}, first=50
)
IDLE = Workload(
    name="idle",
    title="idle",
    part="listen",
    order={"concurrency": 10, "gap": 0.002},
    first=20,
    most=20,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(None) as one:
        yield one


def quick(server: Server, runs: int = 2) -> Harness:
    return Harness(server, runs=runs, seconds=0.05, say=lambda _: None)


def measured(server: Server, system: System, workload: Workload) -> Cell:
    return quick(server, runs=1).measure([system], [workload])[workload.name, system.name]


@pytest.mark.parametrize("system", [BULLQ, BULLQ_JOBS, OFFICIAL], ids=lambda one: one.name)
def test_python_systems_run_every_workload(server: Server, system: System) -> None:
    for workload in (SMALL, *(one for one in WORKLOADS if one.name.startswith("add-"))):
        cell = measured(server, system, workload)
        assert cell.lacks == ""
        assert (cell.median("rate") or 0) > 0
    cell = measured(server, system, SMALL)
    assert 1 < (cell.median("scripts_us") or 0) < 5_000
    assert 10 < (cell.median("memory_mb") or 0) < 500


@pytest.mark.parametrize("system", [NODE_6, NODE_5], ids=lambda one: one.name)
def test_node_runs_the_same(server: Server, system: System) -> None:
    need(NODE)
    versions = play(system, "versions", {"url": server.url, "jobs": 1})["versions"]
    assert versions["bullmq"].startswith({"node-6": "6.", "node-5": "5."}[system.name])
    for name in ("noop-10", "add-50", "add-bulk"):
        workload = next(one for one in WORKLOADS if one.name == name)
        assert (measured(server, system, workload).median("rate") or 0) > 0
    assert measured(server, system, IDLE).late(50) is not None


def test_latency_is_between_an_add_and_the_job_s_start(server: Server) -> None:
    cell = measured(server, BULLQ, IDLE)
    [run] = cell.runs
    assert len(run.late_ms) == IDLE.first
    p50, p99 = cell.late(50), cell.late(99)
    assert p50 is not None
    assert p99 is not None
    assert 0 < p50 <= p99 < 5_000
    assert WARM_UP > 0


def test_systems_take_turns_and_a_broken_one_stops_nobody(server: Server) -> None:
    said: list[str] = []
    harness = Harness(server, runs=2, seconds=0.05, say=said.append)
    results = harness.measure([BULLQ, BROKEN, BULLQ_JOBS], [SMALL])
    assert "No module named" in results["noop-10", "broken"].lacks
    assert len(results["noop-10", "bullq"].runs) == 2
    order = [line.split()[1].rstrip(":") for line in said if line.startswith("  noop-10")]
    # Two runs each to find the size, one of the broken; then the counted ones in turns.
    assert order[-4:] == ["bullq", "bullq-jobs", "bullq", "bullq-jobs"]


def test_what_a_system_says_at_its_end_is_the_reason(server: Server) -> None:
    with pytest.raises(PartFailed, match="No module named"):
        play(BROKEN, "fill", {"url": server.url, "jobs": 1})


def test_a_node_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotInstalled, match="no node on PATH"):
        NODE_6.prepare()


def figures(*rates: float) -> Cell:
    return Cell([Figures(rate=rate, scripts_us=20, server_us=25.4, memory_mb=40) for rate in rates])


SETTING = Setting(
    day=date(2026, 1, 2),
    server="Redis 7.0.15",
    runs=3,
    seconds=1.0,
    versions={"bullq": "0.1.0"},
    load=0.5,
)


def test_the_page_tells_medians_spread_and_what_is_missing() -> None:
    results: Results = {
        ("noop-100", "bullq"): figures(900, 1_000, 1_300),
        ("noop-100", "rq-like"): Cell(lacks="one job at a time"),
        ("idle", "bullq"): Cell([Figures(late_ms=(1.0, 2.0, 3.0))]),
    }
    lame = System(name="rq-like", title="lame")
    text = page(results, [BULLQ, lame], {"gone": "no npm"}, SETTING)
    assert "| bullq, bare processor 0.1.0 | 1,000 ± 20% | 2.00 / 3.00 ms | 20 | 25 | 40 |" in text
    assert "| lame | - | - | - | - | - |" in text
    assert "* lame, no-op at 100: one job at a time" in text
    assert "* gone: not measured, no npm" in text
    assert "2026-01-02, Redis 7.0.15" in text


def test_the_readme_gets_its_table_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = tmp_path / "README.md"
    monkeypatch.setattr(table, "README", readme)
    results: Results = {
        ("noop-100", "bullq"): figures(1_000),
        ("add-bulk", "bullq"): figures(5_000),
    }
    text = table.in_short(results, [BULLQ], SETTING)
    assert "1,000 ± 0%" in text
    assert "5,000" not in text
    for old in ("", "old\n"):
        readme.write_text(f"before\n<!-- benchmarks -->\n{old}<!-- /benchmarks -->\nafter\n")
        table.write_readme(text)
        assert readme.read_text() == (
            f"before\n<!-- benchmarks -->\n{text}<!-- /benchmarks -->\nafter\n"
        )
    readme.write_text("before\nafter\n")
    with pytest.raises(SystemExit, match="are missing"):
        table.write_readme(text)


def test_promises_are_held_against_node() -> None:
    results: Results = {
        ("noop-100", "bullq"): figures(1_800),
        ("noop-100", "node-6"): figures(1_000),
        ("noop-100", "bullq-jobs"): figures(1_350),
        ("io-100", "bullq"): figures(1_000),
        ("io-100", "node-6"): figures(1_000),
    }
    assert suite._bars(results).splitlines() == [
        "noop-100: 1.80 x Node (promised 1.7): kept, @job 75% of it",
        "io-100: 1.00 x Node (promised 1.05): MISSED",
    ]


def test_the_suite_runs_what_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = tmp_path_factory.mktemp("raw") / "raw.json"
    words = ["--only", "bullq", "--workloads", "noop-10", "--runs", "1", "--seconds", "0.05"]
    assert suite.main([*words, "--raw", str(raw)]) == 0
    assert "| bullq, bare processor" in capsys.readouterr().out
    [row] = json.loads(raw.read_text())
    assert (row["workload"], row["system"], len(row["runs"])) == ("noop-10", "bullq", 1)


def test_a_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SystemExit, match="'bulq' is not known here; known: bullq, "):
        suite.main(["--only", "bulq"])

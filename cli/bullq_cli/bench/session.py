"""From what is wanted to what is told: measure each kind of job, show it, recommend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bullq.app import Bullq
from bullq.settings import load_settings
from bullq.wording import counted
from bullq_cli import output
from bullq_cli.bench import terminal
from bullq_cli.bench.application import measured_app, payload, spin
from bullq_cli.bench.crew import running_crew
from bullq_cli.bench.figures import Point
from bullq_cli.bench.knee import Recommendation, env_lines, words
from bullq_cli.bench.plan import Kind, Load, Plan
from bullq_cli.bench.site import Site, occupied
from bullq_cli.bench.svg import Picture, draw
from bullq_cli.bench.sweep import Check, Sweep
from bullq_cli.exits import ExitCode

if TYPE_CHECKING:
    from bullq.settings import Settings

_CALIBRATION = 200_000  # turns of a loop, a few ms


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for. *data* is JSON text; times are in seconds."""

    kinds: list[Kind]
    job: str | None
    data: str
    queue: str
    io_seconds: float
    cpu_seconds: float
    plan: Plan


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One kind of job, measured, with what is recommended and how that was checked."""

    load: Load
    title: str
    points: list[Point]
    found: Recommendation
    check: Check

    @property
    def failures(self) -> str:
        """Say how many jobs failed, and why the first one did; empty where none has."""
        runs = [run for point in self.points for run in point.runs if run.failed]
        if not runs:
            return ""
        failed = sum(run.failed for run in runs)
        return f"{counted(failed, 'job')} failed, the first because: {runs[0].reason}"


def run(wanted: Wanted, svg: Path | None, *, to_json: bool) -> None:
    """Measure everything, and tell it."""
    settings = load_settings()
    try:
        measured = asyncio.run(_measure_all(settings, wanted))
    except asyncio.CancelledError:
        raise typer.Exit(ExitCode.TERMINATED) from None
    title = "How many jobs at once?"
    if svg is not None:
        pictures = [Picture(title=o.title, points=o.points, found=o.found) for o in measured]
        svg.write_text(draw(pictures, title, _where()), encoding="utf-8")
    if to_json:
        output.as_json({"machine": _where(), "measured": [_as_json(one) for one in measured]})
        return
    for one in measured:
        _tell(one)
    if svg is not None:
        output.line(f"Drawn: {svg}")


async def _measure_all(settings: Settings, wanted: Wanted) -> list[Measured]:
    with _ended_by_signals():
        return [
            await _measure(settings, _load(settings, wanted, kind), wanted.plan)
            for kind in wanted.kinds
        ]


async def _measure(settings: Settings, load: Load, plan: Plan) -> Measured:
    """Measure one kind of job on an application of its own."""
    outer = Bullq(jobs=[], settings=settings)
    try:
        await outer.store.check()
        async with occupied(outer.store) as site:
            return await _sweep(settings, load, plan, site, outer.store.url)
    finally:
        await outer.aclose()


async def _sweep(settings: Settings, load: Load, plan: Plan, site: Site, url: str) -> Measured:
    with_url = settings.model_copy(update={"redis_url": url})
    app, job = measured_app(with_url, load, site.prefix)
    job.payload.decode(payload(load))  # a payload that does not fit fails here, not in each job
    title = _title(load)
    output.note(f"{title}: measuring for about {plan.seconds:.0f} s, Ctrl-C ends it")
    try:
        async with running_crew(load, site.prefix, url, max(plan.processes)) as crew:
            sweep = Sweep(
                app.queue(job.queue), job.name, crew=crew, site=site, load=load, plan=plan
            )
            points = await sweep.run(output.note)
            found, check = await sweep.check(points, output.note)
    finally:
        await app.aclose()
    return Measured(load=load, title=title, points=points, found=found, check=check)


def _load(settings: Settings, wanted: Wanted, kind: Kind) -> Load:
    queue, reference = wanted.queue, None
    if kind is Kind.JOB:
        from bullq.loading import load_app

        job = load_app(settings).jobs.find_anywhere(wanted.job or "")
        queue, reference = job.queue, f"{job.queue}/{job.name}"
    return Load(
        kind=kind,
        queue=queue,
        data=wanted.data,
        reference=reference,
        turns=_turns(wanted.cpu_seconds) if kind is Kind.CPU else 0,
        pause=wanted.io_seconds if kind is Kind.IO else 0.0,
    )


def _turns(seconds: float) -> int:
    """Find out how many turns of the loop take that long here."""
    fastest = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        spin(_CALIBRATION)
        fastest = min(fastest, time.perf_counter() - began)
    return max(1, round(_CALIBRATION * seconds / fastest))


def _title(load: Load) -> str:
    match load.kind:
        case Kind.NOOP:
            return "A job that does nothing"
        case Kind.IO:
            return f"A job that waits {load.pause * 1000:g} ms"
        case Kind.CPU:
            return "A job that computes"
        case Kind.JOB:
            return f"The job {load.reference}"


def _where() -> str:
    day = datetime.now(UTC).date().isoformat()
    return (
        f"{day}, {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}; medians, shaded from slowest to fastest run"
    )


def _tell(one: Measured) -> None:
    output.line(f"\n{one.title}, queue {one.load.queue}\n")
    for text in terminal.chart(one.points, one.found):
        output.line(text)
    output.line()
    if one.failures:
        output.line(f"Careful: {one.failures}")
    for text in words(one.load.queue, one.found):
        output.line(text)
    if one.found.chosen is not one.found.best:
        output.line(
            f"Side by side, in turns: {one.check.chosen:,.0f} and {one.check.best:,.0f} jobs/s, "
            f"{one.check.share:.0%} of the best."
        )
    output.line()
    for text in env_lines(one.load.queue, one.found):
        output.line(f"  {text}")
    if one.found.chosen.processes > 1:
        output.line(
            f"or, on one machine: bullq worker --queue {one.load.queue} "
            f"--processes {one.found.chosen.processes}"
        )


def _as_json(one: Measured) -> dict[str, Any]:
    chosen = one.found.chosen
    return {
        "kind": one.load.kind.value,
        "job": one.load.reference,
        "queue": one.load.queue,
        "points": [_point(point) for point in one.points],
        "recommended": {
            "processes": chosen.processes,
            "concurrency": chosen.concurrency,
            "share_of_best": round(one.found.share, 3),
            "share_side_by_side": round(one.check.share, 3),
            "still_rising": one.found.unfinished,
            "words": words(one.load.queue, one.found),
            "env": env_lines(one.load.queue, one.found),
        },
        "failures": one.failures or None,
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "processes": point.processes,
        "concurrency": point.concurrency,
        "runs": len(point.runs),
        "jobs_per_second": round(point.rate, 1),
        "slowest": round(point.slowest, 1),
        "fastest": round(point.fastest, 1),
        "pickup_ms": {"p50": point.pickup(50), "p99": point.pickup(99)},
        "redis_us_per_job": round(point.redis_us, 1),
        "memory_bytes": point.memory,
    }


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have SIGTERM end the measurement as Ctrl-C does: in order, and nothing left behind."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine of ours runs in one
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

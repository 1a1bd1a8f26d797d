"""The command itself: read what is wanted, measure, tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.bench.plan import LADDER, Kind, Plan, usual_processes
from bullq_cli.exits import wrong_input
from bullq_cli.inputs import duration, payload

if TYPE_CHECKING:
    from bullq_cli.bench.session import Wanted

_MOST_AT_ONCE, _MOST_PROCESSES = 10_000, 64
_SHORTEST = 1.0  # seconds


def bench(
    kinds: Annotated[
        list[Kind] | None,
        typer.Argument(
            metavar="[noop|io|cpu]...",
            help="What the measured jobs do. Default: io.",
            show_default=False,
        ),
    ] = None,
    *,
    job: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Measure this job of yours. It really runs, many times."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Its payload: JSON, @file, or - for standard input."),
    ] = None,
    queue: Annotated[
        str,
        typer.Option("--queue", "-q", metavar="NAME", help="The queue to find settings for."),
    ] = "default",
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Jobs at once to try. Default: 1 to 1,000."),
    ] = None,
    processes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...", help="Processes to try. Default: 1, 2, 4, up to the cores."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", help="Runs of each setting.")] = 3,
    io_time: Annotated[
        str, typer.Option(metavar="DURATION", help="How long an io job waits.")
    ] = "10ms",
    cpu_time: Annotated[
        str, typer.Option(metavar="DURATION", help="How long a cpu job computes.")
    ] = "5ms",
    time: Annotated[
        str, typer.Option(metavar="DURATION", help="The time to take for each kind of job.")
    ] = "90s",
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the curves into this file.")
    ] = None,
    to_json: Annotated[bool, typer.Option("--json", help="Write all figures as JSON.")] = False,
) -> None:
    """Find out how many jobs at once a queue should run.

    It measures on your Redis, or the embedded one, under keys of its own, and removes them
    afterwards, also after Ctrl-C. Workers of yours are not disturbed, only slowed down.
    """
    from bullq_cli.bench.session import Wanted, run

    if job is not None and kinds:
        raise wrong_input("Measure either kinds of jobs or, with --job, one of yours.")
    if data is not None and job is None:
        raise wrong_input("--data is the payload of a job; name the job with --job.")
    wanted = Wanted(
        kinds=[Kind.JOB] if job is not None else list(dict.fromkeys(kinds or [Kind.IO])),
        job=job,
        data=payload(data),
        queue=queue,
        io_seconds=_seconds("--io-time", io_time),
        cpu_seconds=_seconds("--cpu-time", cpu_time),
        plan=_plan(concurrency, processes, rounds, time),
    )
    _check(wanted, svg)
    run(wanted, svg, to_json=to_json)


def _plan(concurrency: str | None, processes: str | None, rounds: int, time: str) -> Plan:
    if rounds < 1:
        raise wrong_input(f"--rounds is a whole number from 1, not {rounds}.")
    return Plan(
        concurrencies=_numbers("--concurrency", concurrency, _MOST_AT_ONCE) or LADDER,
        processes=_numbers("--processes", processes, _MOST_PROCESSES) or usual_processes(),
        rounds=rounds,
        seconds=max(_SHORTEST, _seconds("--time", time)),
    )


def _check(wanted: Wanted, svg: Path | None) -> None:
    if wanted.job is None and Kind.JOB in wanted.kinds:
        raise wrong_input("Which job? Name it with --job.")
    if svg is not None and not svg.absolute().parent.is_dir():
        raise wrong_input(f"--svg {svg} cannot be written: {svg.absolute().parent} is no folder.")
    if wanted.plan.seconds < _SHORTEST:
        output.note(f"--time: at least {_SHORTEST:g} s")


def _numbers(option: str, text: str | None, most: int) -> tuple[int, ...]:
    """Read a list of whole numbers; none for None."""
    if text is None:
        return ()
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 1 <= int(word) <= most for word in words):
        raise wrong_input(
            f"{option} takes whole numbers from 1 to {most:,}, as 1,10,100; not {text!r}."
        )
    return tuple(sorted({int(word) for word in words}))


def _seconds(option: str, text: str) -> float:
    seconds = duration(option, text)
    if not seconds:
        raise wrong_input(f"{option} is more than 0, not {text!r}.")
    return seconds

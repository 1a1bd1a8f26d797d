"""`bullq worker`: run the jobs of one queue or several, in this process or in several."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli.exits import wrong_input
from bullq_cli.inputs import duration, size
from bullq_cli.metrics import endpoint, serve_metrics
from bullq_cli.signals import StopSignals, end_with_stdin

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.telemetry.logging import LoggingObserver
    from bullq_cli.fleet import Orders
    from bullq_cli.processes import Children


_MOST_AT_ONCE = 10_000
_MOST_PROCESSES = 1_000


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


class Engine(StrEnum):
    """What hands out the jobs."""

    BULLMQ = "bullmq"
    INNGEST = "inngest"


class LogLevel(StrEnum):
    """Which log lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def worker(
    *,
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", "-q", metavar="NAME", help="A queue to work on; repeat for more."),
    ] = None,
    every_queue: Annotated[
        bool, typer.Option("--all", help="Work on every queue of the application.")
    ] = False,
    engine: Annotated[
        Engine,
        typer.Option(help="What hands out the jobs. With inngest: those of all queues."),
    ] = Engine.BULLMQ,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", help="Jobs at once, per queue. Default: as the queue says."),
    ] = None,
    burst: Annotated[
        bool, typer.Option("--burst", help="End as soon as the queues have no more jobs.")
    ] = False,
    drain_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long running jobs may take to end at a stop, as 30s or 5m. "
            "Default: as the queue says.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The worker's name. Default: host name and process id."),
    ] = None,
    heartbeat_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Touch this file whenever Redis answers. Default: BULLQ_HEARTBEAT_FILE.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Run N worker processes and replace those that die. Default: this one.",
        ),
    ] = None,
    max_jobs: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --processes: replace one after so many jobs."),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="With --processes: replace one that has grown so big, as 512MB."
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Serve metrics to Prometheus; with --processes, from this port on.",
        ),
    ] = None,
    max_outage: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="End by an error if Redis does not answer for so long."
        ),
    ] = "5m",
    log_format: Annotated[
        LogFormat | None,
        typer.Option(help="How log lines are written. Default: BULLQ_LOG_FORMAT, or text."),
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option(help="The least important lines to write.")
    ] = LogLevel.INFO,
    to_json: Annotated[
        bool, typer.Option("--json", help="Write log lines and errors as JSON.")
    ] = False,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
    token_prefix: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the jobs of one queue or several.

    SIGTERM and Ctrl-C stop it in order: it claims no more jobs, lets running ones end within
    the drain timeout, puts the rest back and exits with 0. A second signal ends it at once.
    """
    signals = _signals(until_stdin_closes=until_stdin_closes)
    _check_engine(engine, queue, burst=burst, processes=processes, metrics=metrics)
    _check_queues(queue, every_queue=every_queue or engine is Engine.INNGEST)
    _check_one(name, concurrency)
    _check_processes(processes, max_jobs, max_memory, alone=not (processes or token_prefix))
    drain_seconds = duration("--drain-timeout", drain_timeout)

    from bullq.telemetry.logging import LoggingObserver
    from bullq_cli.fleet import Orders
    from bullq_cli.inngest_worker import run_inngest_worker
    from bullq_cli.processes import Children

    app = _load(heartbeat_file)
    style = LogFormat.JSON if to_json else log_format or app.settings.log_format
    signals.to_json = style == LogFormat.JSON
    log = LoggingObserver(LogFormat(style).value, log_level.value)
    if engine is Engine.INNGEST:
        return run_inngest_worker(app, log, signals, name, concurrency, drain_seconds)
    orders = Orders(
        queues=_queues(app, None if every_queue else queue),
        concurrency=concurrency,
        drain_timeout=drain_seconds,
        name=name,
        burst=burst,
        max_outage=duration("--max-outage", max_outage) or 0.0,
        max_jobs=max_jobs,
        max_memory=size("--max-memory", max_memory),
        token_prefix=token_prefix,
        metrics=endpoint("--metrics", metrics, processes or 1),
    )
    log.note(_server(app))
    if processes is None:
        return _run_here(app, orders, log, signals)
    logging = ["--log-format", style, "--log-level", log_level] + ["--json"] * to_json
    return _run_below(app, orders, log, signals, Children(processes, logging))


def _signals(*, until_stdin_closes: bool) -> StopSignals:
    """Take the signals over, before anything slow happens."""
    signals = StopSignals()
    signals.install()
    if until_stdin_closes:
        end_with_stdin()
    return signals


def _run_below(
    app: Bullq, orders: Orders, log: LoggingObserver, signals: StopSignals, children: Children
) -> None:
    from bullq_cli.processes import run_processes

    raise typer.Exit(run_processes(app, orders, children, log, signals))


def _run_here(app: Bullq, orders: Orders, log: LoggingObserver, signals: StopSignals) -> None:
    from bullq.telemetry.hooks import Observers
    from bullq_cli.fleet import run_fleet

    served = orders.metrics
    # What is logged is counted already: who reads a line may read the metrics next.
    observer = log if served is None else Observers([serve_metrics(served), log])
    run_fleet(app, orders, observer, signals)


def _queues(app: Bullq, named: list[str] | None) -> list[str]:
    """Give the queues to work on, all for None; raises UnknownQueueError, RemoteJobError."""
    queues = app.own_queues if named is None else list(dict.fromkeys(named))
    for queue in queues:
        app.queues.spec(queue)
        app.check_own(queue)
    return queues


def _check_queues(queue: list[str] | None, *, every_queue: bool) -> None:
    if queue and every_queue:
        raise wrong_input(
            "--all works on every queue, also on those that --queue names.\n"
            "Take one of the two away."
        )
    if not queue and not every_queue:
        raise wrong_input(
            "A worker needs a queue.\n"
            "Name one with --queue default, or take every queue of the application with --all."
        )


def _check_engine(
    engine: Engine,
    queue: list[str] | None,
    *,
    burst: bool,
    processes: int | None,
    metrics: object,
) -> None:
    if engine is Engine.BULLMQ:
        return
    given = {"--queue": queue, "--burst": burst, "--processes": processes, "--metrics": metrics}
    if wrong := [option for option, value in given.items() if value]:
        raise wrong_input(
            f"{wrong[0]} is for BullMQ: Inngest hands out the jobs of all queues.\n"
            "Take it away, or take --engine inngest away."
        )


def _check_one(name: str | None, concurrency: int | None) -> None:
    """Check what makes a worker one of its kind: its name, and how much it runs at once."""
    _check_name(name)
    if concurrency is not None and not 1 <= concurrency <= _MOST_AT_ONCE:
        raise wrong_input(
            f"--concurrency is a whole number from 1 to {_MOST_AT_ONCE:,}, not {concurrency}."
        )


def _check_processes(
    processes: int | None, max_jobs: int | None, max_memory: str | None, *, alone: bool
) -> None:
    if processes is not None and not 1 <= processes <= _MOST_PROCESSES:
        raise wrong_input(
            f"--processes is a whole number from 1 to {_MOST_PROCESSES:,}, not {processes}."
        )
    if max_jobs is not None and max_jobs < 1:
        raise wrong_input(f"--max-jobs is a whole number from 1, not {max_jobs}.")
    if alone and (max_jobs is not None or max_memory is not None):
        raise wrong_input(
            "--max-jobs and --max-memory end a process so that another one takes its place.\n"
            "Add --processes 1, which watches over one and replaces it."
        )


def _check_name(name: str | None) -> None:
    if name is not None and (not name or not all("!" <= character <= "~" for character in name)):
        raise wrong_input(
            f"--name {name!r} cannot be a worker's name: Redis takes letters, digits and "
            "punctuation, no spaces."
        )


def _load(heartbeat_file: Path | None) -> Bullq:
    from bullq.loading import load_app

    app = load_app()
    if heartbeat_file is not None:
        app.settings = app.settings.model_copy(update={"heartbeat_file": heartbeat_file})
    return app


def _server(app: Bullq) -> str:
    """Say which Redis is used."""
    from bullq.settings import mask_url

    url = app.store.url
    if app.embedded is not None:
        return f"no REDIS_URL: embedded server at .bullq/ ({url}), for development"
    return f"Redis at {mask_url(url)}"

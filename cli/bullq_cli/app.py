"""Wire the commands, run one, and turn what goes wrong into a message and an exit code."""

from __future__ import annotations

import os
import sys
import threading
from typing import Annotated

import typer

from bullq_cli import (
    dev,
    dispatch,
    doctor,
    job_actions,
    jobs,
    new,
    outbox,
    output,
    queue_actions,
    queues,
    reconcile,
    serve,
    types,
    worker,
)
from bullq_cli.bench.command import bench
from bullq_cli.dashboard.command import dashboard
from bullq_cli.exits import ExitCode, as_command_error
from bullq_cli.usage import PlainCommand

app = typer.Typer(
    name="bullq",
    help="Typed background jobs on BullMQ queues, shared with Node.",
    rich_markup_mode=None,  # rich would double the time that --help takes
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    worker.worker,
    dispatch.dispatch,
    dev.dev,
    doctor.doctor,
    dashboard,
    serve.serve,
    reconcile.reconcile,
    types.types,
    new.new,
    bench,
):
    app.command(cls=PlainCommand)(command)
queue_actions.add_to(queues.app)
job_actions.add_to(jobs.app)
app.add_typer(queues.app, name="queues")
app.add_typer(jobs.app, name="jobs")
app.add_typer(outbox.app, name="outbox")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        output.line(f"bullq {version('bullq')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def run(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code; None: the process's own, which may end here."""
    words = sys.argv[1:] if arguments is None else arguments
    to_json = "--json" in words
    try:
        code = app(words or ["--help"], prog_name="bullq", standalone_mode=False) or ExitCode.OK
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except typer.Abort:
        code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - all of them are told here
        problem = as_command_error(error)
        if problem is None:
            output.unexpected(error, to_json=to_json)
            code = ExitCode.FAILED
        else:
            if problem.__cause__ is not None and not to_json:
                output.unexpected(problem.__cause__)
            output.error(problem, to_json=to_json)
            code = problem.exit
    if arguments is None:
        _leave_threads(int(code))
    return int(code)


def _leave_threads(code: int) -> None:
    """End the process here if threads would keep it: a job's own may never end."""
    others = [thread for thread in threading.enumerate() if not thread.daemon]
    if len(others) > 1:
        sys.stdout.flush()  # jobs print, too
        os._exit(code)

"""`bullq dispatch`: queue one job, and wait for its result if asked."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode
from bullq_cli.inputs import duration, payload
from bullq_cli.session import with_app

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.jobs.dispatching import Receipt
    from bullq.jobs.job import Job


def dispatch(
    *,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The job: queue/name, or name if one queue has it."),
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="JSON|@FILE|-",
            help="The payload: JSON, a file of it, or - for standard input. Default: {}.",
        ),
    ] = None,
    delay: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Run it no sooner than in, say, 30s, 5m or 1h30m."),
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(metavar="N", help="From 1 (first) to 2097152 (last); 0 for none."),
    ] = None,
    job_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="The job's id; the same id twice is one job."),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Wait so long for the result, and print it."),
    ] = None,
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Queue one job; with --wait, print its result.

    Exits with 1 if the job waited for fails, and with 5 if it does not end in time.
    """
    text = payload(data)
    delay_seconds = duration("--delay", delay)
    wait_seconds = duration("--wait", wait)

    from bullq.errors import ResultTimeout

    async def send(app: Bullq) -> None:
        job = app.jobs.find_anywhere(name)
        receipt = await job.dispatch(
            job.payload.decode(text), id=job_id, delay=delay_seconds, priority=priority
        )
        answer = {
            "id": receipt.id,
            "queue": receipt.queue,
            "name": receipt.name,
            "engine": receipt.engine,
            "state": receipt.state,
            "reason": receipt.reason,
        }
        if not to_json:
            tell = output.line if wait_seconds is None else output.note
            tell(_where_it_is(receipt))
        elif wait_seconds is None:
            output.as_json(answer)
        if wait_seconds is not None:
            try:
                await _tell_result(job, receipt, wait_seconds, answer, to_json=to_json)
            except ResultTimeout:
                await _tell_that_nobody_works(app, receipt)
                raise

    with_app(send)


def _where_it_is(receipt: Receipt[Any]) -> str:
    """Say which engine has the job, and why, where that is not simply BullMQ."""
    has = {"inngest": "sent to Inngest: ", "outbox": "kept in the outbox: "}.get(receipt.engine)
    if has is None:
        has = "dropped: " if receipt.state == "dropped" else "queued "
    why = f" ({receipt.reason.sentence})" if receipt.reason and has != "queued " else ""
    return f"{has}{receipt.queue}/{receipt.name} {receipt.id}{why}"


async def _tell_result(
    job: Job[Any, Any],
    receipt: Receipt[Any],
    seconds: float,
    answer: dict[str, Any],
    *,
    to_json: bool,
) -> None:
    """Wait and print the result."""
    from bullq.clock import format_ms

    began = time.monotonic()
    result = job.result.encode(await receipt.result(timeout=seconds))
    if to_json:
        output.as_json({**answer, "state": "completed", "result": json.loads(result)})
    else:
        output.note(f"completed after {format_ms((time.monotonic() - began) * 1000)}")
        output.line(result)


async def _tell_that_nobody_works(app: Bullq, receipt: Receipt[Any]) -> None:
    """Raise the error that says so, where no worker listens to the job's queue."""
    from bullq.queues.inspect import worker_names

    if not await worker_names(app.queue(receipt.queue)):
        start = f"Start one with 'bullq worker --queue {receipt.queue}', or all with 'bullq dev'."
        if app.jobs.is_remote(receipt.queue):
            start = "Another service works on it: start that service."
        raise CommandError(
            f"Job {receipt.id} waits: no worker listens to the queue {receipt.queue!r}.\n{start}",
            ExitCode.TIME_IS_UP,
            "timeout",
            {"id": receipt.id},
        )
